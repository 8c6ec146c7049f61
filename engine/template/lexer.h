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

// A cursor over tokens.
class TokenStream {
 public:
  // `source` outlives the stream.
  TokenStream(absl::string_view source, std::vector<TemplateToken> tokens)
      : source_(source), tokens_(std::move(tokens)) {}

  const TemplateToken& current() const { return tokens_[index_]; }
  const TemplateToken& following() const;
  // The token that was current.
  const TemplateToken& Next();

  bool Is(TemplateToken::Kind kind) const { return current().kind == kind; }
  bool IsName(absl::string_view name) const;
  bool IsOperator(absl::string_view text) const;
  // Where the stream stands, and whether `name` stands between there and here.
  size_t place() const { return index_; }
  bool HasNameSince(size_t place, absl::string_view name) const;
  // Goes on where the current token is that; whether it was.
  bool SkipName(absl::string_view name);
  bool SkipOperator(absl::string_view text);
  // Goes on; an error where the current token is another one.
  absl::Status ExpectName(absl::string_view name);
  absl::Status ExpectOperator(absl::string_view text);
  absl::Status Expect(TemplateToken::Kind kind, absl::string_view what);

  absl::Status Error(absl::string_view message) const;
  absl::Status ErrorAt(size_t offset, absl::string_view message) const;
  // "expected WHAT, found ..."
  absl::Status Unexpected(absl::string_view what) const;

 private:
  absl::string_view source_;
  std::vector<TemplateToken> tokens_;
  size_t index_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TEMPLATE_LEXER_H_
