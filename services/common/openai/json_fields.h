// The fields of a JSON object from outside, read with their types and ranges.
// The first field that is wrong is the error; fields that nobody has asked for
// are errors too, with the nearest known name. A value; one thread.

#ifndef TANDEM_SERVICES_COMMON_OPENAI_JSON_FIELDS_H_
#define TANDEM_SERVICES_COMMON_OPENAI_JSON_FIELDS_H_

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"

namespace tandem {

using Json = nlohmann::json;
// For what is written: fields in the order in which they were set.
using OrderedJson = nlohmann::ordered_json;

// `text` as a JSON object. Errors: INVALID_ARGUMENT with the place.
absl::StatusOr<Json> ParseJsonObject(absl::string_view text);
// `json` in one line; bytes that are not UTF-8 stand as U+FFFD.
std::string WriteJson(const OrderedJson& json);

class JsonFields {
 public:
  // `path` is where the object stands, as "tandem"; empty: the whole request.
  // `object` outlives this; what is no object has no fields, and is an error.
  explicit JsonFields(const Json& object, std::string path = "");

  // Nothing where the field is absent, null or wrong.
  std::optional<std::string> Text(const char* name);
  // The same; an absent one is an error, and "" too.
  std::string RequiredText(const char* name);
  std::optional<bool> Bool(const char* name);
  std::optional<int64_t> Whole(const char* name, int64_t low, int64_t high);
  std::optional<float> Number(const char* name);
  // The value, for the caller to look into; null where it is absent or null.
  const Json* Any(const char* name);

  // Fields that change nothing here.
  void Ignore(std::initializer_list<const char*> names);
  // Refuses `name` unless it is absent, null, false or empty.
  void Refuse(const char* name, absl::string_view why);

  // `name` is wrong: "NAME WHY".
  void Fail(absl::string_view name, absl::string_view why);
  void Fail(const absl::Status& status);
  // The path of a field, for errors of others: "tandem.top_k".
  std::string PathOf(absl::string_view name) const;

  // The first error; no field is asked for after this.
  absl::Status Finish();

 private:
  const Json* Find(const char* name);

  const Json& object_;
  const std::string path_;
  std::vector<std::string> known_;
  absl::Status status_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_OPENAI_JSON_FIELDS_H_
