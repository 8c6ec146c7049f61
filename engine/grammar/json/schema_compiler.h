// JSON Schemas (draft 2020-12) to grammars. README.md has the keywords and what
// is refused of valid texts. Pure function; any thread.

#ifndef TANDEM_ENGINE_GRAMMAR_JSON_SCHEMA_COMPILER_H_
#define TANDEM_ENGINE_GRAMMAR_JSON_SCHEMA_COMPILER_H_

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/grammar/automaton/grammar_builder.h"

namespace tandem {

// The JSON texts that the schema `text` takes. Errors: INVALID_ARGUMENT,
// "/properties/a: ..." by the JSON pointer of the keyword.
absl::StatusOr<RuleId> CompileSchema(absl::string_view text,
                                     GrammarBuilder* builder);

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_JSON_SCHEMA_COMPILER_H_
