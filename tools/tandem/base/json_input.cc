#include "tools/tandem/base/json_input.h"

#include <google/protobuf/util/json_util.h>

#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace tandem::cli {

namespace {

absl::StatusOr<Json> Parse(absl::string_view text) {
  bool is_deep = false;
  const auto within_depth = [&is_deep](int depth, Json::parse_event_t event,
                                       Json&) {
    const bool opens = event == Json::parse_event_t::object_start ||
                       event == Json::parse_event_t::array_start;
    is_deep = is_deep || (opens && depth >= kJsonDepthMax);
    return !is_deep;
  };
  Json json = Json::parse(text.begin(), text.end(), within_depth,
                          /*allow_exceptions=*/false);
  if (is_deep) {
    return absl::InvalidArgumentError(
        absl::StrCat("is nested more than ", kJsonDepthMax, " levels deep"));
  }
  if (json.is_discarded()) {
    return absl::InvalidArgumentError("is no JSON, or not UTF-8");
  }
  return json;
}

}  // namespace

absl::StatusOr<Json> ParseJsonObject(absl::string_view text) {
  TANDEM_ASSIGN_OR_RETURN(Json json, Parse(text));
  if (json.is_object()) return json;
  return absl::InvalidArgumentError("is no JSON object");
}

absl::StatusOr<Json> ParseJsonList(absl::string_view text) {
  TANDEM_ASSIGN_OR_RETURN(Json json, Parse(text));
  if (json.is_array()) return json;
  return absl::InvalidArgumentError("is no JSON list");
}

absl::Status ReadMessage(const Json& json, absl::string_view what,
                         google::protobuf::Message* message) {
  if (!json.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(what, " is no object"));
  }
  message->Clear();
  const auto status = google::protobuf::util::JsonStringToMessage(
      json.dump(-1, ' ', false, Json::error_handler_t::replace), message);
  if (status.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, ": ", std::string(status.message())));
}

absl::StatusOr<std::vector<TokenId>> ReadTokenIds(const Json& json,
                                                  absl::string_view what) {
  std::vector<TokenId> ids;
  bool is_list = json.is_array();
  for (size_t i = 0; is_list && i < json.size(); ++i) {
    const Json& id = json[i];
    is_list = id.is_number_unsigned() &&
              id.get<uint64_t>() <= std::numeric_limits<TokenId>::max();
    if (is_list) ids.push_back(id.get<TokenId>());
  }
  if (!is_list) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " is no list of token ids"));
  }
  return ids;
}

}  // namespace tandem::cli
