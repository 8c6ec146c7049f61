// GBNF, the grammar format of llama.cpp, to the rules of a GrammarBuilder.
// README.md has the format. Pure function; any thread.

#ifndef TANDEM_ENGINE_GRAMMAR_SYNTAX_GBNF_PARSER_H_
#define TANDEM_ENGINE_GRAMMAR_SYNTAX_GBNF_PARSER_H_

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/grammar/automaton/grammar_builder.h"

namespace tandem {

// The rule "root" of `text`. Errors: INVALID_ARGUMENT, "line 2, column 3: ...".
absl::StatusOr<RuleId> ParseGbnf(absl::string_view text,
                                 GrammarBuilder* builder);

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_SYNTAX_GBNF_PARSER_H_
