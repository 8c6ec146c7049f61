// A place in the source text of a grammar, which is read character by
// character. A plain value; the text outlives it.

#ifndef TANDEM_ENGINE_GRAMMAR_SYNTAX_TEXT_CURSOR_H_
#define TANDEM_ENGINE_GRAMMAR_SYNTAX_TEXT_CURSOR_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/grammar/automaton/grammar.h"

namespace tandem {

// What is wrong with the counts of {N,M}; "" where nothing is.
std::string WrongCounts(const Bounds& counts);

class TextCursor {
 public:
  // No character; stands behind the last.
  static constexpr uint32_t kEnd = UINT32_MAX;

  // INVALID_ARGUMENT where `text` is no UTF-8 or over
  // kGrammarSourceBytesMax.
  static absl::StatusOr<TextCursor> Of(absl::string_view text);

  // The character `ahead` of the current one.
  uint32_t Peek(size_t ahead = 0) const {
    return at_ + ahead < characters_.size() ? characters_[at_ + ahead] : kEnd;
  }
  bool AtEnd() const { return at_ >= characters_.size(); }
  // The current character, which is gone past; kEnd at the end.
  uint32_t Next() {
    if (AtEnd()) return kEnd;
    const uint32_t c = characters_[at_++];
    if (c == '\n') {
      ++line_;
      line_begin_ = at_;
    }
    return c;
  }
  // Goes past `text` (ASCII, without a line feed) if it stands here.
  bool Take(absl::string_view text);
  // Exactly `count` hexadecimal digits, or nothing, past none.
  std::optional<uint32_t> TakeHex(int count);
  // A decimal number, at most `most` (larger ones give most + 1); nothing
  // where no digit stands here.
  std::optional<uint32_t> TakeNumber(uint32_t most);

  // Characters before this place.
  size_t place() const { return at_; }
  // "line 2, column 3" of this place, both counted from 1.
  std::string LineAndColumn() const;
  // INVALID_ARGUMENT at `place`: "character 5: WHAT" or, with lines, "line 2,
  // column 3: WHAT", both counted from 1.
  absl::Status ErrorAt(size_t place, absl::string_view what) const;
  absl::Status LineErrorAt(size_t place, absl::string_view what) const;

 private:
  std::vector<uint32_t> characters_;
  size_t at_ = 0;
  size_t line_ = 1;
  size_t line_begin_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_SYNTAX_TEXT_CURSOR_H_
