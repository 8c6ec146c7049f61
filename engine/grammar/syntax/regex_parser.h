// Regular expressions to grammar expressions: the subset of ECMA-262 (with the
// flag u) that says which texts match and nothing else. README.md lists it.
// What is not supported is an error with its place. Pure function; any thread.

#ifndef TANDEM_ENGINE_GRAMMAR_SYNTAX_REGEX_PARSER_H_
#define TANDEM_ENGINE_GRAMMAR_SYNTAX_REGEX_PARSER_H_

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/grammar/automaton/grammar_builder.h"

namespace tandem {

enum class RegexMatch {
  kWhole,   // the whole text matches
  kSearch,  // a part of the text matches
};

// The texts that `pattern` matches, made of Chars, Sequence, OneOf and Repeat
// alone. Errors: INVALID_ARGUMENT, "character 5: ...".
absl::StatusOr<ExprId> ParseRegex(absl::string_view pattern, RegexMatch match,
                                  GrammarBuilder* builder);

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_SYNTAX_REGEX_PARSER_H_
