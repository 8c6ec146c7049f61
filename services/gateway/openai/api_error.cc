#include "services/gateway/openai/api_error.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace tandem::gateway {
namespace {

constexpr int64_t kMsPerSecond = 1000;

absl::string_view TypeOf(int http_status) {
  switch (http_status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    default:
      return http_status >= 500 ? "server_error" : "invalid_request_error";
  }
}

OrderedJson MakeError(int http_status, const std::optional<std::string>& param,
                      absl::string_view code, absl::string_view message) {
  OrderedJson error;
  error["message"] = std::string(message);
  error["type"] = std::string(TypeOf(http_status));
  error["param"] = param.has_value() ? OrderedJson(*param) : OrderedJson();
  error["code"] = std::string(code);
  return error;
}

// `field`, which begins with a tool or a call of the list `list`: what a
// function has stands in an object.
std::string FunctionField(absl::string_view field, absl::string_view list,
                          const FieldNames& names) {
  const size_t at = field.find(list);
  if (at == absl::string_view::npos) return std::string(field);
  const size_t end = field.find("].", at);
  if (end == absl::string_view::npos) return std::string(field);
  const absl::string_view rest = field.substr(end + 2);
  if (rest == "id") return std::string(field);
  return absl::StrCat(field.substr(0, end + 2), names.function, rest);
}

// The name of `field` of a ConverseRequest in the client's API.
std::string ClientField(absl::string_view field, const FieldNames& names) {
  (void)(absl::ConsumePrefix(&field, "start.") ||
         absl::ConsumePrefix(&field, "turn."));
  absl::ConsumePrefix(&field, "options.");
  if (field == "response_format.json_schema") return names.schema;
  absl::ConsumePrefix(&field, "messages.");  // of ChatMessages
  if (absl::StartsWith(field, "messages")) {
    return names.function.empty() ? names.prompt
                                  : FunctionField(field, "tool_calls[", names);
  }
  if (absl::StartsWith(field, "tools[")) {
    return FunctionField(field, "tools[", names);
  }
  if (field == "tool_name") {
    return absl::StrCat("tool_choice.", names.function, "name");
  }
  const size_t end = std::min(field.find_first_of(".["), field.size());
  const absl::string_view first = field.substr(0, end);
  const absl::string_view rest = field.substr(end);
  const std::pair<absl::string_view, absl::string_view> kNames[] = {
      {"stop_strings", "stop"},
      {"model_id", "model"},
      {"max_tokens", names.max_tokens},
      {"text", names.prompt},
      {"tokens", names.prompt},
      {"token_ids", names.token_ids},
      {"session_id", "tandem.session_id"},
      {"response_format", names.format},
      {"tool_calls_max", "parallel_tool_calls"},
  };
  for (const auto& [ours, theirs] : kNames) {
    if (first == ours) return absl::StrCat(theirs, rest);
  }
  return std::string(field);
}

// What the service says of itself has a reason; what gRPC says has none.
bool IsOfConnection(const absl::Status& status) {
  return absl::IsUnavailable(status) && !GetErrorDetail(status).has_value();
}

}  // namespace

int HttpStatusOf(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kAlreadyExists:
      return 409;
    case absl::StatusCode::kResourceExhausted:
      return 429;
    case absl::StatusCode::kUnimplemented:
      return 501;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kCancelled:
      return 503;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    default:
      return 500;
  }
}

absl::Status InTermsOf(const absl::Status& status, const FieldNames& names) {
  if (IsOfConnection(status)) {
    return absl::UnavailableError(
        "the gateway can not reach the coordinator now; try again");
  }
  std::optional<ErrorDetail> detail = GetErrorDetail(status);
  if (!detail.has_value() || detail->violations.empty()) return status;
  // The message begins with the first field, or names it.
  std::string message(status.message());
  for (FieldViolation& violation : detail->violations) {
    const std::string theirs = ClientField(violation.field, names);
    if (const size_t at = message.find(violation.field);
        at != std::string::npos) {
      message.replace(at, violation.field.size(), theirs);
    }
    violation.field = theirs;
  }
  return tandem::MakeError(status.code(), *detail, message);
}

OrderedJson ErrorObject(const absl::Status& status) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  std::optional<std::string> param;
  if (detail.has_value() && !detail->violations.empty() &&
      !absl::IsResourceExhausted(status)) {
    param = detail->violations.front().field;
  }
  const std::string code = absl::AsciiStrToLower(
      detail.has_value() ? detail->reason
                         : absl::StatusCodeToString(status.code()));
  return MakeError(HttpStatusOf(status.code()), param, code, status.message());
}

HttpResponse ErrorResponse(const absl::Status& status) {
  OrderedJson body;
  body["error"] = ErrorObject(status);
  HttpResponse response = {.status = HttpStatusOf(status.code()),
                           .body = WriteJson(body)};
  if (response.status == 429 || response.status == 503) {
    const std::optional<ErrorDetail> detail = GetErrorDetail(status);
    const int64_t ms = std::max<int64_t>(
        detail.has_value() ? detail->retry_delay_ms.value_or(kMsPerSecond)
                           : kMsPerSecond,
        0);
    const int64_t seconds = (ms + kMsPerSecond - 1) / kMsPerSecond;
    response.headers.push_back(
        {"Retry-After", absl::StrCat(std::max<int64_t>(seconds, 1))});
  }
  if (response.status == 401) {
    response.headers.push_back({"WWW-Authenticate", "Bearer"});
  }
  return response;
}

HttpResponse ErrorResponse(int http_status, absl::string_view code,
                           absl::string_view message) {
  OrderedJson body;
  body["error"] = MakeError(http_status, std::nullopt, code, message);
  HttpResponse response = {.status = http_status, .body = WriteJson(body)};
  if (http_status == 503) response.headers.push_back({"Retry-After", "1"});
  return response;
}

}  // namespace tandem::gateway
