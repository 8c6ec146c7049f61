// Where a JSON object ends that comes in byte by byte, by its brackets, strings
// and escapes; no parser. A value; one thread.

#ifndef TANDEM_ENGINE_REPLY_JSON_SCANNER_H_
#define TANDEM_ENGINE_REPLY_JSON_SCANNER_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace tandem {

class JsonScanner {
 public:
  // Brackets in one another at most. Grammars take 100 levels of a schema, and
  // 10,000 of rules in a text.
  static constexpr size_t kDepthMax = 10'000;

  enum class State {
    kOpen,    // the object goes on
    kClosed,  // the byte ends it
    kBroken,  // the byte can not stand there
  };

  // Takes the next byte, of which the first must be "{". After kClosed or
  // kBroken no more may follow.
  State Next(char byte);

 private:
  // What closes the brackets that are open.
  std::string closers_;
  bool in_string_ = false;
  bool is_escaped_ = false;
};

// Whether the JSON object `text` has a member `name`; false for what is no
// object.
bool HasMember(absl::string_view text, absl::string_view name);

}  // namespace tandem

#endif  // TANDEM_ENGINE_REPLY_JSON_SCANNER_H_
