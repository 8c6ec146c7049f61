#include "engine/grammar/json/schema_shape.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/grammar/automaton/grammar_builder.h"
#include "engine/grammar/json/schema_disjoint.h"
#include "engine/grammar/json/schema_keywords.h"

namespace tandem {
namespace {

// Shapes of one schema: alternatives of alternatives multiply.
constexpr size_t kShapesMax = 256;
// What applying a schema takes at least, as steps. References to references
// multiply; a schema of 50 properties applies 100.
constexpr size_t kStepsPerSchema = 200;
constexpr size_t kStepsPerValue = 10;
constexpr size_t kKeywords = 30;

void NarrowLeast(uint32_t least, Bounds* bounds) {
  bounds->least = std::max(bounds->least, least);
}

void NarrowMost(uint32_t most, Bounds* bounds) {
  bounds->most = std::min(bounds->most, most);
}

absl::Status CheckIsSchema(const JsonValue& value) {
  if (value.IsObject() || value.kind == JsonValue::Kind::kBoolean) {
    return absl::OkStatus();
  }
  return SchemaError(value, "must be a schema: an object, true or false");
}

absl::Status CheckIs(const JsonValue& value, JsonValue::Kind kind,
                     absl::string_view what) {
  if (value.kind == kind) return absl::OkStatus();
  return SchemaError(value, absl::StrCat("must be ", what));
}

absl::Status ApplyValues(const JsonValue& schema, SchemaShape* shape) {
  std::vector<std::vector<const JsonValue*>> lists;
  if (const JsonValue* all = schema.Find("enum")) {
    TANDEM_RETURN_IF_ERROR(CheckIs(*all, JsonValue::Kind::kArray, "an array"));
    std::vector<const JsonValue*>& list = lists.emplace_back();
    for (const JsonValue& value : all->items) list.push_back(&value);
  }
  if (const JsonValue* value = schema.Find("const")) lists.push_back({value});
  for (const std::vector<const JsonValue*>& list : lists) {
    if (!shape->values.has_value()) {
      shape->values = list;
      continue;
    }
    std::vector<const JsonValue*> both;
    for (const JsonValue* value : *shape->values) {
      const auto is_same = [value](const JsonValue* other) {
        return IsEqual(*value, *other);
      };
      if (std::any_of(list.begin(), list.end(), is_same)) both.push_back(value);
    }
    shape->values = std::move(both);
  }
  return absl::OkStatus();
}

absl::Status ApplyNumbers(const JsonValue& schema, SchemaShape* shape) {
  for (const char* name :
       {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"}) {
    const JsonValue* value = schema.Find(name);
    if (value == nullptr) continue;
    NumberBound bound;
    TANDEM_ASSIGN_OR_RETURN(bound.value, NumberOf(*value));
    bound.is_exclusive = name[0] == 'e';
    if (absl::EndsWith(name, "inimum")) {
      shape->numbers.NarrowLow(bound);
    } else {
      shape->numbers.NarrowHigh(bound);
    }
  }
  return absl::OkStatus();
}

absl::Status ApplyCounts(const JsonValue& schema, SchemaShape* shape) {
  for (const char* name : {"minProperties", "maxProperties"}) {
    if (const JsonValue* count = schema.Find(name)) shape->counts_at = count;
  }
  const std::pair<const char*, Bounds*> counted[] = {
      {"Length", &shape->lengths},
      {"Items", &shape->item_counts},
      {"Properties", &shape->property_counts}};
  for (const auto& [name, bounds] : counted) {
    if (const JsonValue* least = schema.Find(absl::StrCat("min", name))) {
      TANDEM_ASSIGN_OR_RETURN(const uint32_t count, CountOf(*least));
      if (count > kRepeatMax) {
        return SchemaError(*least,
                           absl::StrCat("must be at most ", kRepeatMax));
      }
      NarrowLeast(count, bounds);
    }
    if (const JsonValue* most = schema.Find(absl::StrCat("max", name))) {
      TANDEM_ASSIGN_OR_RETURN(const uint32_t count, CountOf(*most));
      NarrowMost(std::min(count, kRepeatMax), bounds);
    }
  }
  return absl::OkStatus();
}

absl::Status ApplyStrings(const JsonValue& schema, SchemaShape* shape) {
  if (const JsonValue* pattern = schema.Find("pattern")) {
    TANDEM_RETURN_IF_ERROR(
        CheckIs(*pattern, JsonValue::Kind::kString, "a string"));
    shape->patterns.push_back(pattern);
  }
  if (const JsonValue* format = schema.Find("format")) {
    TANDEM_RETURN_IF_ERROR(
        CheckIs(*format, JsonValue::Kind::kString, "a string"));
    shape->formats.push_back(format);
  }
  return absl::OkStatus();
}

absl::Status ApplyItems(const JsonValue& schema, SchemaShape* shape) {
  std::vector<Conjunction> prefix;
  if (const JsonValue* all = schema.Find("prefixItems")) {
    TANDEM_RETURN_IF_ERROR(CheckIs(*all, JsonValue::Kind::kArray, "an array"));
    for (const JsonValue& item : all->items) {
      TANDEM_RETURN_IF_ERROR(CheckIsSchema(item));
      prefix.push_back({&item});
    }
  }
  Conjunction rest;
  if (const JsonValue* items = schema.Find("items")) {
    TANDEM_RETURN_IF_ERROR(CheckIsSchema(*items));
    rest.push_back(items);
  }
  for (size_t i = 0; i < std::max(prefix.size(), shape->prefix.size()); ++i) {
    if (i >= shape->prefix.size()) shape->prefix.push_back(shape->items);
    AddSchemas(i < prefix.size() ? prefix[i] : rest, &shape->prefix[i]);
  }
  AddSchemas(rest, &shape->items);
  return absl::OkStatus();
}

absl::Status ApplyRequired(const JsonValue& required, SchemaShape* shape) {
  TANDEM_RETURN_IF_ERROR(
      CheckIs(required, JsonValue::Kind::kArray, "an array"));
  for (const JsonValue& name : required.items) {
    TANDEM_RETURN_IF_ERROR(CheckIs(name, JsonValue::Kind::kString, "a string"));
    const auto known =
        std::find_if(shape->properties.begin(), shape->properties.end(),
                     [&name](const SchemaShape::Property& property) {
                       return property.name == name.text;
                     });
    if (known != shape->properties.end()) {
      known->is_required = true;
    } else {
      shape->properties.push_back(
          {.name = name.text, .value = shape->additional, .is_required = true});
    }
  }
  return absl::OkStatus();
}

absl::Status ApplyProperties(const JsonValue& schema, SchemaShape* shape) {
  static const JsonValue* const no_properties =
      new JsonValue{.kind = JsonValue::Kind::kObject};
  const JsonValue* properties = schema.Find("properties");
  if (properties == nullptr) properties = no_properties;
  TANDEM_RETURN_IF_ERROR(
      CheckIs(*properties, JsonValue::Kind::kObject, "an object"));
  Conjunction rest;
  if (const JsonValue* additional = schema.Find("additionalProperties")) {
    TANDEM_RETURN_IF_ERROR(CheckIsSchema(*additional));
    rest.push_back(additional);
  }
  for (SchemaShape::Property& known : shape->properties) {
    const JsonValue* own = properties->Find(known.name);
    AddSchemas(own != nullptr ? Conjunction{own} : rest, &known.value);
  }
  const size_t known_count = shape->properties.size();
  for (size_t i = 0; i < properties->items.size(); ++i) {
    TANDEM_RETURN_IF_ERROR(CheckIsSchema(properties->items[i]));
    const auto end = shape->properties.begin() + known_count;
    const bool is_known =
        std::any_of(shape->properties.begin(), end,
                    [&](const SchemaShape::Property& known) {
                      return known.name == properties->names[i];
                    });
    if (is_known) continue;
    Conjunction value = shape->additional;
    AddSchemas({&properties->items[i]}, &value);
    shape->properties.push_back(
        {.name = properties->names[i], .value = std::move(value)});
  }
  AddSchemas(rest, &shape->additional);
  const JsonValue* required = schema.Find("required");
  return required == nullptr ? absl::OkStatus()
                             : ApplyRequired(*required, shape);
}

// What ApplyKeywords takes: names and values are compared with each other.
size_t StepsOf(const JsonValue& schema, const SchemaShape& shape) {
  const auto size_of = [&schema](absl::string_view name) {
    const JsonValue* value = schema.Find(name);
    return value == nullptr ? size_t{0} : value->items.size();
  };
  const size_t known = shape.properties.size() + shape.prefix.size();
  const size_t added = size_of("properties") + size_of("prefixItems");
  const size_t values = shape.values.has_value() ? shape.values->size() : 1;
  return schema.items.size() * kKeywords + known + added * (1 + known) +
         size_of("required") * (1 + known + added) +
         size_of("enum") * values * kStepsPerValue;
}

}  // namespace

bool SchemaShape::IsAnything() const {
  constexpr Bounds kAll = {.least = 0, .most = kUnbounded};
  return types == kAllTypes && !is_never && !values.has_value() &&
         numbers.IsAll() && lengths == kAll && patterns.empty() &&
         formats.empty() && prefix.empty() && items.empty() &&
         item_counts == kAll && properties.empty() && additional.empty() &&
         property_counts == kAll;
}

void AddSchemas(const Conjunction& more, Conjunction* all) {
  for (const JsonValue* schema : more) {
    if (std::find(all->begin(), all->end(), schema) == all->end()) {
      all->push_back(schema);
    }
  }
}

absl::Status ApplyKeywords(const JsonValue& schema, WorkBudget* budget,
                           SchemaShape* shape) {
  TANDEM_RETURN_IF_ERROR(budget->Spend(StepsOf(schema, *shape)));
  for (size_t i = 0; i < schema.items.size(); ++i) {
    TANDEM_RETURN_IF_ERROR(CheckKeyword(schema.names[i], schema.items[i]));
  }
  if (const JsonValue* type = schema.Find("type")) {
    TANDEM_ASSIGN_OR_RETURN(const uint8_t types, TypesOf(*type));
    shape->types &= types;
  }
  TANDEM_RETURN_IF_ERROR(ApplyValues(schema, shape));
  TANDEM_RETURN_IF_ERROR(ApplyNumbers(schema, shape));
  TANDEM_RETURN_IF_ERROR(ApplyCounts(schema, shape));
  TANDEM_RETURN_IF_ERROR(ApplyStrings(schema, shape));
  TANDEM_RETURN_IF_ERROR(ApplyItems(schema, shape));
  return ApplyProperties(schema, shape);
}

absl::StatusOr<std::vector<SchemaShape>> SchemaExpander::Expand(
    const Conjunction& schemas) {
  Shapes shapes(1);
  for (const JsonValue* schema : schemas) {
    TANDEM_RETURN_IF_ERROR(Apply(*schema, &shapes));
  }
  return shapes;
}

absl::Status SchemaExpander::Apply(const JsonValue& schema, Shapes* shapes) {
  TANDEM_RETURN_IF_ERROR(CheckIsSchema(schema));
  if (std::find(active_.begin(), active_.end(), &schema) != active_.end()) {
    return SchemaError(schema, "refers to itself without an end");
  }
  if (active_.size() >= static_cast<size_t>(kGrammarDepthMax)) {
    return SchemaError(schema, absl::StrCat("more than ", kGrammarDepthMax,
                                            " references one after the other"));
  }
  TANDEM_RETURN_IF_ERROR(budget_->Spend(kStepsPerSchema));
  if (schema.Is(false)) {
    for (SchemaShape& shape : *shapes) shape.is_never = true;
  }
  if (!schema.IsObject()) return absl::OkStatus();
  active_.push_back(&schema);
  for (SchemaShape& shape : *shapes) {
    TANDEM_RETURN_IF_ERROR(ApplyKeywords(schema, budget_, &shape));
  }
  if (const JsonValue* reference = schema.Find("$ref")) {
    TANDEM_RETURN_IF_ERROR(ApplyReference(*reference, shapes));
  }
  if (const JsonValue* all = schema.Find("allOf")) {
    TANDEM_RETURN_IF_ERROR(CheckIs(*all, JsonValue::Kind::kArray, "an array"));
    for (const JsonValue& part : all->items) {
      TANDEM_RETURN_IF_ERROR(Apply(part, shapes));
    }
  }
  for (const char* name : {"anyOf", "oneOf"}) {
    const JsonValue* branches = schema.Find(name);
    if (branches == nullptr) continue;
    TANDEM_RETURN_IF_ERROR(
        ApplyBranches(*branches, /*is_one_of=*/name[0] == 'o', shapes));
  }
  active_.pop_back();
  return absl::OkStatus();
}

absl::Status SchemaExpander::ApplyReference(const JsonValue& reference,
                                            Shapes* shapes) {
  TANDEM_RETURN_IF_ERROR(
      CheckIs(reference, JsonValue::Kind::kString, "a string"));
  absl::string_view pointer = reference.text;
  const JsonValue* target = absl::ConsumePrefix(&pointer, "#")
                                ? FindByPointer(*root_, pointer)
                                : nullptr;
  if (target == nullptr) {
    return SchemaError(
        reference,
        "refers to nothing in this schema; write # and a JSON pointer");
  }
  return Apply(*target, shapes);
}

absl::Status SchemaExpander::ApplyBranches(const JsonValue& branches,
                                           bool is_one_of, Shapes* shapes) {
  TANDEM_RETURN_IF_ERROR(
      CheckIs(branches, JsonValue::Kind::kArray, "an array"));
  std::vector<Shapes> by_branch;
  size_t count = 0;
  for (const JsonValue& branch : branches.items) {
    Shapes& own = by_branch.emplace_back(*shapes);
    TANDEM_RETURN_IF_ERROR(Apply(branch, &own));
    count += own.size();
    if (count > kShapesMax) {
      return SchemaError(
          branches, absl::StrCat("more than ", kShapesMax, " alternatives"));
    }
  }
  for (size_t b = 0; is_one_of && b < by_branch.size(); ++b) {
    for (size_t a = 0; a < b; ++a) {
      TANDEM_ASSIGN_OR_RETURN(
          const bool is_disjoint,
          AreDisjoint(*root_, by_branch[a], by_branch[b], budget_));
      if (!is_disjoint) {
        return SchemaError(
            branches.items[b],
            absl::StrCat(
                "it is not sure that no value matches this and branch ", a,
                " of oneOf; use anyOf, or a property with another "
                "const in each branch"));
      }
    }
  }
  shapes->clear();
  for (Shapes& own : by_branch) {
    std::move(own.begin(), own.end(), std::back_inserter(*shapes));
  }
  return absl::OkStatus();
}

}  // namespace tandem
