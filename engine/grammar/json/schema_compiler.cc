#include "engine/grammar/json/schema_compiler.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/grammar/json/decimal.h"
#include "engine/grammar/json/json_rules.h"
#include "engine/grammar/json/json_value.h"
#include "engine/grammar/json/number_range.h"
#include "engine/grammar/json/object_rules.h"
#include "engine/grammar/json/schema_disjoint.h"
#include "engine/grammar/json/schema_keywords.h"
#include "engine/grammar/json/schema_shape.h"
#include "engine/grammar/json/schema_strings.h"

namespace tandem {
namespace {

class SchemaCompiler {
 public:
  // `prefix` stands before the names of rules.
  SchemaCompiler(const JsonValue* root, std::string prefix, JsonRules* json)
      : root_(*root),
        prefix_(std::move(prefix)),
        b_(*json->builder()),
        json_(*json),
        expander_(root, b_.budget()) {}

  absl::StatusOr<RuleId> Compile() {
    const RuleId rule = RuleOf({&root_});
    while (!waiting_.empty()) {
      const Conjunction schemas = std::move(waiting_.back());
      waiting_.pop_back();
      TANDEM_ASSIGN_OR_RETURN(const ExprId body, CompileSchemas(schemas));
      TANDEM_RETURN_IF_ERROR(b_.status());
      b_.SetBody(rules_.at(schemas), body);
    }
    return rule;
  }

 private:
  RuleId RuleOf(const Conjunction& schemas) {
    const auto [known, is_new] = rules_.try_emplace(schemas, 0);
    if (is_new) {
      const std::string pointer = PointerOf(*schemas.back());
      known->second =
          b_.AddRule(absl::StrCat(prefix_, pointer.empty() ? "#" : pointer));
      waiting_.push_back(schemas);
    }
    return known->second;
  }

  ExprId CallOf(const Conjunction& schemas) {
    return schemas.empty() ? json_.value() : b_.Call(RuleOf(schemas));
  }

  absl::StatusOr<ExprId> CompileSchemas(const Conjunction& schemas) {
    TANDEM_ASSIGN_OR_RETURN(const std::vector<SchemaShape> shapes,
                            expander_.Expand(schemas));
    std::vector<ExprId> parts;
    for (const SchemaShape& shape : shapes) {
      TANDEM_ASSIGN_OR_RETURN(const ExprId part, CompileShape(shape));
      parts.push_back(part);
    }
    return b_.OneOf(std::move(parts));
  }

  absl::StatusOr<ExprId> CompileShape(const SchemaShape& shape) {
    if (shape.is_never) return b_.Never();
    if (shape.IsAnything()) return json_.value();
    if (shape.values.has_value()) return CompileValues(shape);
    std::vector<ExprId> parts;
    const auto has = [&shape](uint8_t type) {
      return (shape.types & type) != 0;
    };
    if (has(kNullType)) parts.push_back(b_.Literal("null"));
    if (has(kBooleanType)) parts.push_back(b_.Literals({"true", "false"}));
    if (has(kFractionType)) {
      parts.push_back(shape.numbers.IsAll() ? json_.number()
                                            : NumbersIn(shape.numbers, &b_));
    } else if (has(kIntegerType)) {
      parts.push_back(shape.numbers.IsAll() ? json_.integer()
                                            : IntegersIn(shape.numbers, &b_));
    }
    if (has(kStringType)) {
      TANDEM_ASSIGN_OR_RETURN(const ExprId strings,
                              CompileStrings(shape, &json_, &b_));
      parts.push_back(strings);
    }
    if (has(kArrayType)) parts.push_back(CompileArrays(shape));
    if (has(kObjectType)) {
      TANDEM_ASSIGN_OR_RETURN(const ExprId objects, CompileObjects(shape));
      parts.push_back(objects);
    }
    return b_.OneOf(std::move(parts));
  }

  absl::StatusOr<ExprId> CompileValues(const SchemaShape& shape) {
    std::vector<ExprId> parts;
    std::vector<std::string> texts;
    for (const JsonValue* value : *shape.values) {
      TANDEM_ASSIGN_OR_RETURN(const Fit fit, FitOf(*value, shape, b_.budget()));
      if (fit == Fit::kNo) continue;
      if (fit == Fit::kUnknown) {
        return SchemaError(*value,
                           "arrays and objects in enum and const are supported "
                           "without other keywords about them only");
      }
      if (value->IsArray() || value->IsObject()) {
        parts.push_back(ListValue(*value));
      } else {
        AddScalarTexts(*value, &texts);
      }
    }
    parts.push_back(b_.Literals(std::move(texts)));
    return b_.OneOf(std::move(parts));
  }

  void AddScalarTexts(const JsonValue& value, std::vector<std::string>* texts) {
    switch (value.kind) {
      case JsonValue::Kind::kNull:
        texts->push_back("null");
        return;
      case JsonValue::Kind::kBoolean:
        texts->push_back(value.boolean ? "true" : "false");
        return;
      case JsonValue::Kind::kString:
        texts->push_back(CanonicalString(value.text));
        return;
      default:
        texts->push_back(value.text);
        // 1.0 and 1e2 are whole numbers too.
        if (const auto number = DecimalOf(value.text);
            number.has_value() && number->IsWhole()) {
          texts->push_back(
              absl::StrCat(number->is_negative ? "-" : "", number->whole));
        }
        return;
    }
  }

  ExprId AnyValue(const JsonValue& value) {
    if (value.IsArray() || value.IsObject()) return ListValue(value);
    std::vector<std::string> texts;
    AddScalarTexts(value, &texts);
    return b_.Literals(std::move(texts));
  }

  // An array or object of enum or const, in its own order.
  ExprId ListValue(const JsonValue& value) {
    const bool is_object = value.IsObject();
    std::vector<ExprId> parts = {b_.Literal(is_object ? "{" : "["),
                                 json_.space()};
    for (size_t i = 0; i < value.items.size(); ++i) {
      if (i > 0) parts.push_back(json_.Comma());
      const ExprId item = AnyValue(value.items[i]);
      parts.push_back(
          is_object
              ? json_.Member(b_.Literal(CanonicalString(value.names[i])), item)
              : item);
    }
    if (!value.items.empty()) parts.push_back(json_.space());
    parts.push_back(b_.Literal(is_object ? "}" : "]"));
    return b_.Sequence(std::move(parts));
  }

  ExprId CompileArrays(const SchemaShape& shape) {
    std::vector<ExprId> prefix;
    for (const Conjunction& item : shape.prefix) prefix.push_back(CallOf(item));
    return ArrayOf(prefix, CallOf(shape.items), shape.item_counts, &json_, &b_);
  }

  absl::StatusOr<ExprId> CompileObjects(const SchemaShape& shape) {
    std::vector<ObjectMember> members;
    for (const SchemaShape::Property& property : shape.properties) {
      members.push_back({.name = property.name,
                         .value = CallOf(property.value),
                         .is_required = property.is_required});
    }
    TANDEM_ASSIGN_OR_RETURN(const bool has_more, MayHave(shape.additional));
    const auto required = static_cast<uint32_t>(
        std::count_if(members.begin(), members.end(),
                      [](const ObjectMember& m) { return m.is_required; }));
    const auto [least, most] = shape.property_counts;
    if (least > std::max<uint32_t>(required, 1)) {
      return SchemaError(*shape.counts_at,
                         "minProperties is supported up to the number of "
                         "required properties, or 1");
    }
    const bool is_bounded = most != kUnbounded;
    if (is_bounded && !members.empty() && (has_more || most < members.size())) {
      return SchemaError(
          *shape.counts_at,
          "maxProperties is supported where properties and required are empty, "
          "or with additionalProperties false and no fewer than there are");
    }
    return ObjectOf(members, has_more ? CallOf(shape.additional) : b_.Never(),
                    shape.property_counts, &json_, &b_);
  }

  // Whether values of these schemas are there, as far as is easily seen.
  absl::StatusOr<bool> MayHave(const Conjunction& schemas) {
    TANDEM_ASSIGN_OR_RETURN(const std::vector<SchemaShape> shapes,
                            expander_.Expand(schemas));
    return std::any_of(
        shapes.begin(), shapes.end(),
        [](const SchemaShape& shape) { return !shape.is_never; });
  }

  const JsonValue& root_;
  const std::string prefix_;
  GrammarBuilder& b_;
  JsonRules& json_;
  SchemaExpander expander_;
  std::map<Conjunction, RuleId> rules_;
  std::vector<Conjunction> waiting_;
};

}  // namespace

absl::StatusOr<RuleId> CompileSchema(absl::string_view text,
                                     GrammarBuilder* builder) {
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<JsonValue> root,
                          ParseJson(text));
  JsonRules json(builder);
  return SchemaCompiler(root.get(), "", &json).Compile();
}

absl::StatusOr<RuleId> CompileSchema(const SchemaSource& schema,
                                     JsonRules* json) {
  const absl::StatusOr<std::unique_ptr<JsonValue>> root =
      ParseJson(schema.text);
  if (!root.ok()) return Annotate(root.status(), schema.place);
  const absl::StatusOr<RuleId> rule =
      SchemaCompiler(root->get(), absl::StrCat(schema.place, ": "), json)
          .Compile();
  return rule.ok() ? rule : Annotate(rule.status(), schema.place);
}

}  // namespace tandem
