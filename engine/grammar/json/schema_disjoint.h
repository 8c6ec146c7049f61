// Which values schemas have in common. Pure functions.

#ifndef TANDEM_ENGINE_GRAMMAR_JSON_SCHEMA_DISJOINT_H_
#define TANDEM_ENGINE_GRAMMAR_JSON_SCHEMA_DISJOINT_H_

#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/grammar/json/json_value.h"
#include "engine/grammar/json/schema_shape.h"

namespace tandem {

enum class Fit { kNo, kYes, kUnknown };

// Whether a value has a shape, whose enum and const do not count. Arrays and
// objects are unknown where the shape demands anything of them.
absl::StatusOr<Fit> FitOf(const JsonValue& value, const SchemaShape& shape,
                          WorkBudget* budget);

// True where no value has a shape of both: they differ in type, in values, in
// ranges or lengths, in the strings that their patterns take, or in a property
// that both require. False where that is not found. `root`: the whole schema.
absl::StatusOr<bool> AreDisjoint(const JsonValue& root,
                                 absl::Span<const SchemaShape> a,
                                 absl::Span<const SchemaShape> b,
                                 WorkBudget* budget);

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_JSON_SCHEMA_DISJOINT_H_
