// JSON Schemas (draft 2020-12) as shapes: what several schemas that hold at
// once demand of a value, by type. One thread; lives while a schema is
// compiled.

#ifndef TANDEM_ENGINE_GRAMMAR_JSON_SCHEMA_SHAPE_H_
#define TANDEM_ENGINE_GRAMMAR_JSON_SCHEMA_SHAPE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/grammar/automaton/grammar.h"
#include "engine/grammar/automaton/work_budget.h"
#include "engine/grammar/json/json_value.h"
#include "engine/grammar/json/number_range.h"

namespace tandem {

// Types of values, as bits. `number` of a schema is kInteger | kFraction.
inline constexpr uint8_t kNullType = 1;
inline constexpr uint8_t kBooleanType = 2;
inline constexpr uint8_t kIntegerType = 4;
inline constexpr uint8_t kFractionType = 8;  // numbers that are not whole
inline constexpr uint8_t kStringType = 16;
inline constexpr uint8_t kArrayType = 32;
inline constexpr uint8_t kObjectType = 64;
inline constexpr uint8_t kAllTypes = 127;

// Schemas that hold at once, each once; none: every value is allowed.
using Conjunction = std::vector<const JsonValue*>;

struct SchemaShape {
  struct Property {
    std::string name;
    Conjunction value;
    bool is_required = false;
  };

  uint8_t types = kAllTypes;
  // Some member schema is `false`, or nothing can be both.
  bool is_never = false;
  // enum and const: only these values, in every list the same.
  std::optional<std::vector<const JsonValue*>> values = {};

  NumberRange numbers = {};

  Bounds lengths = {.least = 0, .most = kUnbounded};
  std::vector<const JsonValue*> patterns = {};  // values of the keyword
  std::vector<const JsonValue*> formats = {};   // the same

  std::vector<Conjunction> prefix = {};
  Conjunction items = {};
  Bounds item_counts = {.least = 0, .most = kUnbounded};

  std::vector<Property> properties = {};  // in the order of the schemas
  Conjunction additional = {};
  Bounds property_counts = {.least = 0, .most = kUnbounded};
  const JsonValue* counts_at = nullptr;  // the last keyword about them

  // Nothing is demanded of any value.
  bool IsAnything() const;
};

class SchemaExpander {
 public:
  // Both outlive this.
  SchemaExpander(const JsonValue* root, WorkBudget* budget)
      : root_(root), budget_(budget) {}

  // The shapes of which a value must have one. Errors: INVALID_ARGUMENT for
  // keywords that are unknown, unsupported or have a wrong value, references
  // without a target or without an end, and too many alternatives.
  absl::StatusOr<std::vector<SchemaShape>> Expand(const Conjunction& schemas);

 private:
  using Shapes = std::vector<SchemaShape>;

  absl::Status Apply(const JsonValue& schema, Shapes* shapes);
  absl::Status ApplyReference(const JsonValue& reference, Shapes* shapes);
  // anyOf and oneOf.
  absl::Status ApplyBranches(const JsonValue& branches, bool is_one_of,
                             Shapes* shapes);

  const JsonValue* root_;
  WorkBudget* budget_;
  // Schemas that are being applied, each within the one before it.
  std::vector<const JsonValue*> active_;
};

// What the keywords of `schema` itself demand, without $ref, allOf, anyOf and
// oneOf, is added to `shape`. Errors: as Expand.
absl::Status ApplyKeywords(const JsonValue& schema, WorkBudget* budget,
                           SchemaShape* shape);

// Adds schemas that are not in `all` yet.
void AddSchemas(const Conjunction& more, Conjunction* all);

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_JSON_SCHEMA_SHAPE_H_
