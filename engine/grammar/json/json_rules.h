// The parts of JSON texts (RFC 8259) as grammar expressions, with the white
// space that is allowed between them. Lives as long as its builder.
//
// White space: after "{", "[" and "," and before "}" and "]" either nothing, a
// space, or a line feed and an indentation of at most 64 spaces or 16 tabs;
// after ":" nothing or a space; none elsewhere. This takes compact, spaced and
// indented texts, and bounds what a model can spend on it.

#ifndef TANDEM_ENGINE_GRAMMAR_JSON_JSON_RULES_H_
#define TANDEM_ENGINE_GRAMMAR_JSON_JSON_RULES_H_

#include <optional>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/grammar/automaton/char_set.h"
#include "engine/grammar/automaton/grammar_builder.h"

namespace tandem {

class JsonRules {
 public:
  // `builder` outlives this.
  explicit JsonRules(GrammarBuilder* builder);

  GrammarBuilder* builder() const { return builder_; }

  ExprId space() const { return space_; }
  ExprId space_after_colon() const { return space_after_colon_; }

  // Any value, object, array, string or number.
  ExprId value() const { return value_; }
  ExprId object() const { return object_; }
  ExprId array() const { return array_; }
  ExprId string() const { return string_; }
  ExprId number() const { return number_; }
  // A number without fraction and exponent.
  ExprId integer() const { return integer_; }

  // One character within a string, in every spelling that JSON has.
  ExprId AnyCharacter() const { return any_character_; }
  // One character of `set` in its canonical spelling: as it is, or what
  // AppendCanonical writes.
  ExprId CanonicalCharacter(const CharSet& set);

  // `{` members `}` and `[` items `]`, each a list with commas.
  ExprId Member(ExprId key, ExprId value);
  // "," and the white space after it.
  ExprId Comma() const { return comma_; }

 private:
  ExprId Rule(absl::string_view name, ExprId body);
  ExprId MakeAnyCharacter();
  ExprId List(absl::string_view open, ExprId item, absl::string_view close);

  GrammarBuilder* builder_;
  ExprId space_ = 0;
  ExprId space_after_colon_ = 0;
  ExprId comma_ = 0;
  ExprId any_character_ = 0;
  ExprId string_ = 0;
  ExprId integer_ = 0;
  ExprId number_ = 0;
  ExprId value_ = 0;
  ExprId object_ = 0;
  ExprId array_ = 0;
};

// Appends the canonical spelling of a character within a string: \" \\ \b \f
// \n \r \t, \u00 and two lower-case digits for other control characters, and
// the character itself for all others.
void AppendCanonical(uint32_t code_point, std::string* text);
// A whole string in canonical spelling, with its quotes. `text` is UTF-8.
std::string CanonicalString(absl::string_view text);

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_JSON_JSON_RULES_H_
