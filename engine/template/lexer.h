// The tokens of a template: its text, and what stands in its tags. White space
// around tags goes as their signs say (`-` and `+`), the first line end after a
// block or comment and the white space before one that begins a line go by
// themselves (trim_blocks and lstrip_blocks). Pure functions and a cursor over
// their result; one thread.

#ifndef TANDEM_ENGINE_TEMPLATE_LEXER_H_
#define TANDEM_ENGINE_TEMPLATE_LEXER_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tandem {

struct TemplateToken {
  enum class Kind {
    kText,         // of the template, outside of tags
    kBlockBegin,   // {%
    kBlockEnd,     // %}
    kOutputBegin,  // {{
    kOutputEnd,    // }}
    kName,
    kString,  // `text` is what it stands for
    kInteger,
    kFloat,
    kOperator,
    kEnd,
  };
  Kind kind = Kind::kEnd;
  size_t offset = 0;  // in the source
  std::string text = {};
  int64_t integer = 0;
  double number = 0;
};

// "line L, column C" of `offset`, both from 1.
std::string TemplatePlace(absl::string_view source, size_t offset);

// The error "line L, column C: message" at `offset` of `source`:
// FAILED_PRECONDITION with UNSUPPORTED_CHAT_TEMPLATE.
absl::Status TemplateErrorAt(absl::string_view source, size_t offset,
                             absl::string_view message);

// `source` with LF as the only line end and without one line end at its end.
std::string NormalizeTemplateSource(absl::string_view source);

// The tokens of a normalised source; the last one is kEnd.
absl::StatusOr<std::vector<TemplateToken>> TokenizeTemplate(
    absl::string_view source);

// A cursor over tokens, which keeps the first error of what reads them. After
// an error the cursor stands at the end, where every loop over tokens ends, so
// parsers go on without looking and ask for status() last.
class TokenStream {
 public:
  // `source` outlives the stream.
  TokenStream(absl::string_view source, std::vector<TemplateToken> tokens)
      : source_(source), tokens_(std::move(tokens)) {}

  const TemplateToken& current() const { return tokens_[index_]; }
  // The token that was current.
  const TemplateToken& Next();

  bool Is(TemplateToken::Kind kind) const { return current().kind == kind; }
  bool IsName(absl::string_view name) const;
  bool IsOperator(absl::string_view text) const;
  // Whether `text`, a name or an operator, comes after the current token.
  bool IsFollowedBy(absl::string_view text) const;
  // Where the stream stands, and whether `name` stands between there and here.
  size_t place() const { return index_; }
  bool HasNameSince(size_t place, absl::string_view name) const;
  // Goes on where the current token is that; whether it was.
  bool SkipName(absl::string_view name);
  bool SkipOperator(absl::string_view text);
  // Goes on; an error where the current token is another one.
  void ExpectName(absl::string_view name);
  void ExpectOperator(absl::string_view text);
  // The same, and the token. `what` names it in the error.
  const TemplateToken& Expect(TemplateToken::Kind kind, absl::string_view what);

  // Each notes an error: at the current token, at `offset`, and "expected WHAT,
  // found ...".
  void Fail(absl::string_view message);
  void FailAt(size_t offset, absl::string_view message);
  void FailUnexpected(absl::string_view what);
  const absl::Status& status() const { return status_; }

 private:
  absl::string_view source_;
  std::vector<TemplateToken> tokens_;  // the last one is kEnd
  size_t index_ = 0;
  absl::Status status_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_LEXER_H_
