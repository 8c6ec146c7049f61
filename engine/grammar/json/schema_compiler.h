// JSON Schemas (draft 2020-12) to grammars. README.md has the keywords and what
// is refused of valid texts. Pure function; any thread.

#ifndef TANDEM_ENGINE_GRAMMAR_JSON_SCHEMA_COMPILER_H_
#define TANDEM_ENGINE_GRAMMAR_JSON_SCHEMA_COMPILER_H_

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/grammar/automaton/grammar_builder.h"
#include "engine/grammar/json/json_rules.h"

namespace tandem {

// A schema among others of one grammar.
struct SchemaSource {
  absl::string_view text;
  // Names it in all errors, "tags[3].json_schema: /properties/a: ...".
  absl::string_view place;
};

// The JSON texts that the schema `text` takes. Errors: INVALID_ARGUMENT,
// "/properties/a: ..." by the JSON pointer of the keyword.
absl::StatusOr<RuleId> CompileSchema(absl::string_view text,
                                     GrammarBuilder* builder);
// The same with rules of JSON that several schemas share, and their builder.
absl::StatusOr<RuleId> CompileSchema(const SchemaSource& schema,
                                     JsonRules* json);

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_JSON_SCHEMA_COMPILER_H_
