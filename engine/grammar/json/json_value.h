// A JSON text as a tree that keeps the order of members, the spelling of
// numbers and the way up, for schemas. Immutable after parsing; any thread.

#ifndef TANDEM_ENGINE_GRAMMAR_JSON_JSON_VALUE_H_
#define TANDEM_ENGINE_GRAMMAR_JSON_JSON_VALUE_H_

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"

namespace tandem {

struct JsonValue {
  enum class Kind { kNull, kBoolean, kNumber, kString, kArray, kObject };

  Kind kind = Kind::kNull;
  bool boolean = false;
  std::string text = {};  // of a string; of a number as it is written
  std::vector<JsonValue> items = {};    // of an array; of an object the values
  std::vector<std::string> names = {};  // of an object's members
  const JsonValue* parent = nullptr;

  bool IsArray() const { return kind == Kind::kArray; }
  bool IsObject() const { return kind == Kind::kObject; }
  bool IsString() const { return kind == Kind::kString; }
  bool Is(bool value) const {
    return kind == Kind::kBoolean && boolean == value;
  }
  // The member `name` of an object; null where there is none.
  const JsonValue* Find(absl::string_view name) const;
};

// `text`, which is no longer than kGrammarSourceBytesMax and nests no deeper
// than kGrammarDepthMax; names of one object differ. Errors: INVALID_ARGUMENT.
absl::StatusOr<std::unique_ptr<JsonValue>> ParseJson(absl::string_view text);

// The JSON pointer (RFC 6901) of a value, "" for the whole; long ones are cut
// in the middle.
std::string PointerOf(const JsonValue& value);

// The value that a JSON pointer names in `root`; null where there is none.
const JsonValue* FindByPointer(const JsonValue& root,
                               absl::string_view pointer);

// INVALID_ARGUMENT: "POINTER: WHAT"; the whole schema is "#".
absl::Status SchemaError(const JsonValue& where, absl::string_view what);

}  // namespace tandem

#endif  // TANDEM_ENGINE_GRAMMAR_JSON_JSON_VALUE_H_
