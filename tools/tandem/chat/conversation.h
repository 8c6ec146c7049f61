// What was said so far, and the requests that go on from it. A session at the
// coordinator holds the same history as token ids; where it does not any more
// (another reply was asked for, the system message changed, the session was
// forgotten), the next request begins a new session with the whole text. One
// thread.

#ifndef TANDEM_TOOLS_TANDEM_CHAT_CONVERSATION_H_
#define TANDEM_TOOLS_TANDEM_CHAT_CONVERSATION_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tandem/v1/generation.pb.h"
#include "tools/tandem/base/turn_report.h"

namespace tandem::cli {

// A message and its reply, or as much of it as came.
struct ChatTurn {
  std::string prompt;
  TurnRecord record = {};
  std::optional<std::string> error = {};  // why the reply ends early
};

struct ConversationOptions {
  v1::TurnRequest base = {};  // model, template options and time limit
  std::optional<std::string> system = {};
  std::string session_id = {};  // of a session to go on with; "": a new one
  bool is_plain = false;        // prompts are texts, not messages
};

class Conversation {
 public:
  explicit Conversation(ConversationOptions options);

  // The request that says `prompt`.
  v1::TurnRequest Request(const std::string& prompt,
                          const v1::GenerationOptions& options) const;

  // A reply is over: its session has it too, unless it ended with an error.
  void Add(ChatTurn turn);
  // Takes the last turn away, to answer it again. An error where it was said
  // before this chat began.
  absl::StatusOr<ChatTurn> TakeBack();
  // Puts back what TakeBack took, if the reply that was to replace it never
  // came.
  void PutBack(ChatTurn turn);
  // The coordinator does not have the session any more. False: this chat does
  // not know all of it, so it can not go on.
  bool ForgetSession();
  // Begins anew; the system message stays.
  void Clear();
  // "" takes it away. An error where a conversation is under way that this
  // chat does not know all of.
  absl::Status SetSystem(absl::string_view text);

  bool is_plain() const { return options_.is_plain; }
  const std::string& model_id() const { return options_.base.model_id(); }
  const std::string& session_id() const { return session_id_; }
  const std::optional<std::string>& system() const { return options_.system; }
  const std::vector<ChatTurn>& turns() const { return turns_; }

 private:
  void AddHistory(v1::ChatMessages* messages) const;
  // The texts so far, joined.
  std::string PlainHistory() const;

  ConversationOptions options_;
  std::string session_id_;       // "": the next request begins one
  bool is_known_whole_;          // turns_ have all that was said
  bool is_system_told_ = false;  // the session has the system message
  std::vector<ChatTurn> turns_;
};

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_CHAT_CONVERSATION_H_
