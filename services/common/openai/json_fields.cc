#include "services/common/openai/json_fields.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/flag_values.h"

namespace tandem {
namespace {

bool IsEmpty(const Json& value) {
  return (value.is_boolean() && !value.get<bool>()) ||
         ((value.is_array() || value.is_object()) && value.empty()) ||
         (value.is_string() && value.get_ref<const std::string&>().empty());
}

}  // namespace

absl::StatusOr<Json> ParseJsonObject(absl::string_view text) {
  Json parsed = Json::parse(text.begin(), text.end(), nullptr,
                            /*allow_exceptions=*/false);
  if (parsed.is_discarded()) {
    return InvalidArgument(kReasonInvalidText,
                           "the body is not valid JSON in UTF-8");
  }
  if (!parsed.is_object()) {
    return InvalidArgument(kReasonInvalidText, "the body is no JSON object");
  }
  return parsed;
}

std::string WriteJson(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

JsonFields::JsonFields(const Json& object, std::string path)
    : object_(object), path_(std::move(path)) {
  if (!object_.is_object()) status_ = InvalidField(path_, "must be an object");
}

const Json* JsonFields::Find(const char* name) {
  known_.push_back(name);
  if (!object_.is_object()) return nullptr;
  const auto found = object_.find(name);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::string> JsonFields::Text(const char* name) {
  const Json* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  Fail(name, "must be a string");
  return std::nullopt;
}

std::string JsonFields::RequiredText(const char* name) {
  std::string text = Text(name).value_or("");
  if (text.empty()) Fail(name, "must be a string, and not empty");
  return text;
}

std::optional<bool> JsonFields::Bool(const char* name) {
  const Json* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  Fail(name, "must be true or false");
  return std::nullopt;
}

std::optional<int64_t> JsonFields::Whole(const char* name, int64_t low,
                                         int64_t high) {
  const Json* value = Find(name);
  if (value == nullptr) return std::nullopt;
  // What is above the range of int64 is unsigned in the parser's terms.
  const bool fits =
      value->is_number_integer() &&
      (!value->is_number_unsigned() ||
       value->get<uint64_t>() <=
           static_cast<uint64_t>(std::numeric_limits<int64_t>::max()));
  if (fits && value->get<int64_t>() >= low && value->get<int64_t>() <= high) {
    return value->get<int64_t>();
  }
  Fail(name, absl::StrCat("must be a whole number from ", low, " to ", high));
  return std::nullopt;
}

std::optional<float> JsonFields::Number(const char* name) {
  const Json* value = Find(name);
  if (value == nullptr) return std::nullopt;
  if (value->is_number()) {
    const double number = value->get<double>();
    if (std::abs(number) <= std::numeric_limits<float>::max()) {
      return static_cast<float>(number);
    }
  }
  Fail(name, "must be a number");
  return std::nullopt;
}

const Json* JsonFields::Any(const char* name) { return Find(name); }

void JsonFields::Ignore(std::initializer_list<const char*> names) {
  known_.insert(known_.end(), names.begin(), names.end());
}

void JsonFields::Refuse(const char* name, absl::string_view why) {
  const Json* value = Find(name);
  if (value != nullptr && !IsEmpty(*value)) Fail(name, why);
}

void JsonFields::Fail(absl::string_view name, absl::string_view why) {
  Fail(InvalidField(PathOf(name), why));
}

void JsonFields::Fail(const absl::Status& status) { status_.Update(status); }

std::string JsonFields::PathOf(absl::string_view name) const {
  return path_.empty() ? std::string(name) : absl::StrCat(path_, ".", name);
}

absl::Status JsonFields::Finish() {
  if (!status_.ok() || !object_.is_object()) return status_;
  for (const auto& item : object_.items()) {
    if (std::find(known_.begin(), known_.end(), item.key()) != known_.end()) {
      continue;
    }
    const std::string nearest = NearestName(item.key(), known_);
    // The name is a client's text, cut and escaped.
    const std::string shown = QuotedValue(item.key());
    return InvalidField(PathOf(shown),
                        nearest.empty()
                            ? std::string("is no field that is known here")
                            : absl::StrCat("is no field that is known here; "
                                           "did you mean ",
                                           nearest, "?"));
  }
  return absl::OkStatus();
}

}  // namespace tandem
