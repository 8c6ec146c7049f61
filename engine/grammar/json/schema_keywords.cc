#include "engine/grammar/json/schema_keywords.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/grammar/automaton/grammar_builder.h"
#include "engine/grammar/json/schema_shape.h"

namespace tandem {
namespace {

constexpr absl::string_view kSupported[] = {"$defs",
                                            "$ref",
                                            "additionalProperties",
                                            "allOf",
                                            "anyOf",
                                            "const",
                                            "definitions",
                                            "enum",
                                            "exclusiveMaximum",
                                            "exclusiveMinimum",
                                            "format",
                                            "items",
                                            "maxItems",
                                            "maxLength",
                                            "maxProperties",
                                            "maximum",
                                            "minItems",
                                            "minLength",
                                            "minProperties",
                                            "minimum",
                                            "oneOf",
                                            "pattern",
                                            "prefixItems",
                                            "properties",
                                            "required",
                                            "type"};

// They say nothing about which values are valid.
constexpr absl::string_view kAnnotations[] = {
    "$comment",         "$id",      "$schema",    "contentEncoding",
    "contentMediaType", "default",  "deprecated", "description",
    "example",          "examples", "readOnly",   "title",
    "writeOnly"};

template <size_t kSize>
bool IsIn(const absl::string_view (&names)[kSize], absl::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

constexpr std::pair<absl::string_view, uint8_t> kTypeNames[] = {
    {"null", kNullType},       {"boolean", kBooleanType},
    {"integer", kIntegerType}, {"number", kIntegerType | kFractionType},
    {"string", kStringType},   {"array", kArrayType},
    {"object", kObjectType}};

}  // namespace

absl::Status CheckKeyword(absl::string_view keyword, const JsonValue& value) {
  if (keyword == "$id" && value.parent->parent != nullptr) {
    return SchemaError(value, "$id is supported at the top of a schema only");
  }
  if (IsIn(kSupported, keyword) || IsIn(kAnnotations, keyword) ||
      absl::StartsWith(keyword, "x-")) {
    return absl::OkStatus();
  }
  if (keyword == "uniqueItems" && value.Is(false)) return absl::OkStatus();
  return SchemaError(value, "this keyword is not supported");
}

absl::StatusOr<uint8_t> TypesOf(const JsonValue& type) {
  const auto one = [](const JsonValue& name) -> absl::StatusOr<uint8_t> {
    for (const auto& [known, bits] : kTypeNames) {
      if (name.IsString() && name.text == known) return bits;
    }
    return SchemaError(name,
                       "must be one of null, boolean, integer, number, string, "
                       "array, object");
  };
  if (!type.IsArray()) return one(type);
  uint8_t types = 0;
  for (const JsonValue& name : type.items) {
    TANDEM_ASSIGN_OR_RETURN(const uint8_t bits, one(name));
    types |= bits;
  }
  return types;
}

absl::StatusOr<uint32_t> CountOf(const JsonValue& value) {
  const std::optional<Decimal> number = value.kind == JsonValue::Kind::kNumber
                                            ? DecimalOf(value.text)
                                            : std::nullopt;
  if (!number.has_value() || number->is_negative || !number->IsWhole()) {
    return SchemaError(value, "must be a whole number that is not negative");
  }
  uint32_t count = 0;
  for (const char digit : number->whole) {
    count = std::min(count * 10 + static_cast<uint32_t>(digit - '0'),
                     kRepeatMax + 1);
  }
  return count;
}

absl::StatusOr<Decimal> NumberOf(const JsonValue& value) {
  if (value.kind != JsonValue::Kind::kNumber) {
    return SchemaError(value, "must be a number");
  }
  std::optional<Decimal> number = DecimalOf(value.text);
  if (!number.has_value()) {
    return SchemaError(
        value, absl::StrCat("has more than ", kDecimalDigitsMax, " digits"));
  }
  return *std::move(number);
}

uint8_t TypeOfValue(const JsonValue& value) {
  switch (value.kind) {
    case JsonValue::Kind::kNull:
      return kNullType;
    case JsonValue::Kind::kBoolean:
      return kBooleanType;
    case JsonValue::Kind::kNumber: {
      const std::optional<Decimal> number = DecimalOf(value.text);
      return number.has_value() && number->IsWhole() ? kIntegerType
                                                     : kFractionType;
    }
    case JsonValue::Kind::kString:
      return kStringType;
    case JsonValue::Kind::kArray:
      return kArrayType;
    case JsonValue::Kind::kObject:
      return kObjectType;
  }
  return kAllTypes;
}

bool IsEqual(const JsonValue& a, const JsonValue& b) {
  if (a.kind != b.kind || a.items.size() != b.items.size()) return false;
  if (a.kind == JsonValue::Kind::kNumber) {
    const std::optional<Decimal> number = DecimalOf(a.text);
    return number.has_value() ? number == DecimalOf(b.text) : a.text == b.text;
  }
  if (a.boolean != b.boolean || a.text != b.text) return false;
  for (size_t i = 0; i < a.items.size(); ++i) {
    const JsonValue* other = a.IsObject() ? b.Find(a.names[i]) : &b.items[i];
    if (other == nullptr || !IsEqual(a.items[i], *other)) return false;
  }
  return true;
}

}  // namespace tandem
