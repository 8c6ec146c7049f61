// What single keywords of a JSON Schema say. Pure functions; any thread.

#ifndef TANDEM_ENGINE_GRAMMAR_JSON_SCHEMA_KEYWORDS_H_
#define TANDEM_ENGINE_GRAMMAR_JSON_SCHEMA_KEYWORDS_H_

#include <cstdint>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "engine/grammar/json/decimal.h"
#include "engine/grammar/json/json_value.h"

namespace tandem {

// OK for a keyword that is supported or says nothing about values; else the
// error for the member `value` of a schema under the name `keyword`.
absl::Status CheckKeyword(absl::string_view keyword, const JsonValue& value);

// The bits of the types that `type` names.
absl::StatusOr<uint8_t> TypesOf(const JsonValue& type);

// A whole number that is not negative; those above kRepeatMax give kRepeatMax
// + 1.
absl::StatusOr<uint32_t> CountOf(const JsonValue& value);

absl::StatusOr<Decimal> NumberOf(const JsonValue& value);

// The type of a value itself, one bit.
uint8_t TypeOfValue(const JsonValue& value);

// Equality of JSON Schema: numbers by value, objects without order.
bool IsEqual(const JsonValue& a, const JsonValue& b);

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_JSON_SCHEMA_KEYWORDS_H_
