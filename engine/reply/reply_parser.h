// Reads a reply's symbols and says what they add to its parts. What it says is
// a function of the symbols, however they are grouped. One per reply; one
// thread.

#ifndef TANDEM_ENGINE_REPLY_REPLY_PARSER_H_
#define TANDEM_ENGINE_REPLY_REPLY_PARSER_H_

#include "absl/types/span.h"
#include "engine/reply/mark_pattern.h"
#include "engine/reply/reply_parts.h"

namespace tandem {

class ReplyParser {
 public:
  virtual ~ReplyParser() = default;

  // Takes the next symbols and adds what is decided to `parts`.
  virtual void Read(absl::Span<const ReplySymbol> symbols,
                    ReplyParts* parts) = 0;
  // No more will come: adds what was held back. Called once.
  virtual void Finish(ReplyParts* parts) = 0;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_REPLY_REPLY_PARSER_H_
