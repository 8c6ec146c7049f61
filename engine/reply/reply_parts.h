// The parts of a reply: answer, reasoning and calls of tools. Values; one
// thread.

#ifndef TANDEM_ENGINE_REPLY_REPLY_PARTS_H_
#define TANDEM_ENGINE_REPLY_REPLY_PARTS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"

namespace tandem {

// What is added to a call of a tool.
struct CallDelta {
  int index = 0;               // of the call in the reply
  std::string id = {};         // in a call's first delta, else ""
  std::string name = {};       // the same
  std::string arguments = {};  // all of a call, joined, are a JSON object

  friend bool operator==(const CallDelta&, const CallDelta&) = default;
};

// What is added to a reply.
struct ReplyParts {
  std::string content = {};
  std::string reasoning = {};
  std::vector<CallDelta> calls = {};  // one delta for each call

  bool empty() const {
    return content.empty() && reasoning.empty() && calls.empty();
  }

  friend bool operator==(const ReplyParts&, const ReplyParts&) = default;
};

// Counts a reply's calls and names them.
class CallWriter {
 public:
  explicit CallWriter(std::string id_seed) : id_seed_(std::move(id_seed)) {}

  int count() const { return count_; }
  // Adds the beginning of the next call.
  void Begin(absl::string_view name, ReplyParts* parts);
  // Adds to the arguments of the last one.
  void AddArguments(char byte, ReplyParts* parts) const;

 private:
  std::string id_seed_;
  int count_ = 0;
};

// The id of a call: nine letters and digits, as Mistral's chat templates want
// them; a function of the seed and the call's index.
std::string CallId(absl::string_view seed, int index);

}  // namespace tandem

#endif  // TANDEM_ENGINE_REPLY_REPLY_PARTS_H_
