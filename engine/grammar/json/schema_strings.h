// The keywords of strings: pattern, format, minLength and maxLength. Pure
// functions.

#ifndef TANDEM_ENGINE_GRAMMAR_JSON_SCHEMA_STRINGS_H_
#define TANDEM_ENGINE_GRAMMAR_JSON_SCHEMA_STRINGS_H_

#include "engine/base/status.h"
#include "engine/grammar/automaton/grammar_builder.h"
#include "engine/grammar/json/char_automaton.h"
#include "engine/grammar/json/json_rules.h"
#include "engine/grammar/json/schema_shape.h"

namespace tandem {

// The contents of the strings that `shape` takes. Errors: INVALID_ARGUMENT at
// the keyword that is wrong, or where all of them take too many states or the
// budget.
absl::StatusOr<CharAutomaton> StringsOf(const SchemaShape& shape,
                                        WorkBudget* budget);

// The same as JSON strings with their quotes. Without patterns and formats
// characters may stand in every spelling, else in the canonical one.
absl::StatusOr<ExprId> CompileStrings(const SchemaShape& shape,
                                      JsonRules* rules,
                                      GrammarBuilder* builder);

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_JSON_SCHEMA_STRINGS_H_
