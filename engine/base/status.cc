#include "engine/base/status.h"

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace tandem {
namespace {

// Payload: reason, then field and description of each violation, with the
// unit separator (0x1f) between them.
constexpr char kDetailUrl[] = "type.tandem/ErrorDetail";
constexpr char kSeparator = '\x1f';
// Payload: the delay in decimal digits.
constexpr char kRetryDelayUrl[] = "type.tandem/RetryDelay";

}  // namespace

absl::Status MakeError(absl::StatusCode code, const ErrorDetail& detail,
                       absl::string_view message) {
  absl::Status status(code, message);
  std::string payload = detail.reason;
  for (const FieldViolation& violation : detail.violations) {
    absl::StrAppend(&payload, std::string(1, kSeparator), violation.field,
                    std::string(1, kSeparator), violation.description);
  }
  status.SetPayload(kDetailUrl, absl::Cord(payload));
  if (detail.retry_delay_ms.has_value()) {
    status.SetPayload(kRetryDelayUrl,
                      absl::Cord(absl::StrCat(*detail.retry_delay_ms)));
  }
  return status;
}

absl::Status InvalidArgument(const char* reason, absl::string_view message) {
  return MakeError(absl::StatusCode::kInvalidArgument, {.reason = reason},
                   message);
}

absl::Status InvalidField(absl::string_view field,
                          absl::string_view description, const char* reason) {
  return MakeError(absl::StatusCode::kInvalidArgument,
                   {.reason = reason,
                    .violations = {{.field = std::string(field),
                                    .description = std::string(description)}}},
                   absl::StrCat(field, " ", description));
}

absl::Status MalformedFile(absl::string_view message) {
  return InvalidArgument(kReasonMalformedFile, message);
}

absl::Status UnsupportedModel(absl::string_view message) {
  return InvalidArgument(kReasonUnsupportedModel, message);
}

absl::Status UnknownModel(absl::string_view message) {
  return MakeError(absl::StatusCode::kNotFound, {.reason = kReasonUnknownModel},
                   message);
}

absl::Status WrongState(absl::string_view message) {
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   {.reason = kReasonWrongState}, message);
}

absl::Status Exhausted(absl::string_view message,
                       std::optional<int64_t> retry_delay_ms) {
  return MakeError(
      absl::StatusCode::kResourceExhausted,
      {.reason = kReasonExhausted, .retry_delay_ms = retry_delay_ms}, message);
}

absl::Status NoWorker(absl::string_view message) {
  return MakeError(absl::StatusCode::kUnavailable, {.reason = kReasonNoWorker},
                   message);
}

absl::Status Draining(absl::string_view message) {
  return MakeError(absl::StatusCode::kUnavailable, {.reason = kReasonDraining},
                   message);
}

std::optional<ErrorDetail> GetErrorDetail(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kDetailUrl);
  if (!payload.has_value()) return std::nullopt;
  const std::vector<std::string> parts =
      absl::StrSplit(std::string(*payload), kSeparator);
  ErrorDetail detail;
  detail.reason = parts[0];
  for (size_t i = 1; i + 1 < parts.size(); i += 2) {
    detail.violations.push_back(
        {.field = parts[i], .description = parts[i + 1]});
  }
  int64_t delay_ms = 0;
  const absl::optional<absl::Cord> delay = status.GetPayload(kRetryDelayUrl);
  if (delay.has_value() && absl::SimpleAtoi(std::string(*delay), &delay_ms)) {
    detail.retry_delay_ms = delay_ms;
  }
  return detail;
}

absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok()) return status;
  absl::Status result(status.code(),
                      absl::StrCat(context, ": ", status.message()));
  status.ForEachPayload(
      [&result](absl::string_view url, const absl::Cord& payload) {
        result.SetPayload(url, payload);
      });
  return result;
}

}  // namespace tandem
