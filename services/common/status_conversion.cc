#include "services/common/status_conversion.h"

#include <utf8proc.h>

#include <algorithm>
#include <string>

#include "absl/strings/string_view.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace tandem {
namespace {

constexpr int kCodeMax = 16;  // UNAUTHENTICATED, the last code of gRPC

// `text` as one line of valid UTF-8 of at most `bytes_max` bytes: protobuf
// strings must be UTF-8, and a message may quote what a client sent.
std::string CleanText(absl::string_view text, size_t bytes_max) {
  const bool cut = text.size() > bytes_max;
  if (cut) {
    size_t end = bytes_max - 3;  // room for "..."
    while (end > 0 && (text[end] & 0xc0) == 0x80) --end;
    text = text.substr(0, end);
  }
  std::string result;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  for (size_t at = 0; at < text.size();) {
    utf8proc_int32_t code_point = 0;
    const utf8proc_ssize_t read = utf8proc_iterate(
        bytes + at, static_cast<utf8proc_ssize_t>(text.size() - at),
        &code_point);
    if (read <= 0) {
      result.push_back('?');
      ++at;
      continue;
    }
    const size_t length = static_cast<size_t>(read);
    if (code_point < 0x20 || code_point == 0x7f) {
      result.push_back(' ');
    } else {
      result.append(text.data() + at, length);
    }
    at += length;
  }
  return cut ? result + "..." : result;
}

bool IsForClients(const absl::Status& status, bool has_detail) {
  if (has_detail) return true;
  switch (status.code()) {
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDataLoss:
      return false;
    default:
      return true;
  }
}

// The violations of a request that asks for too much are quotas of its tenant.
void AddQuotas(const std::vector<FieldViolation>& violations,
               google::rpc::Status* result) {
  google::rpc::QuotaFailure failure;
  for (const FieldViolation& violation : violations) {
    if (failure.violations_size() == kStatusViolationsMax) break;
    auto* added = failure.add_violations();
    added->set_subject(CleanText(violation.field, kViolationFieldBytesMax));
    added->set_description(
        CleanText(violation.description, kViolationDescriptionBytesMax));
  }
  result->add_details()->PackFrom(failure);
}

void AddFields(const std::vector<FieldViolation>& violations,
               google::rpc::Status* result) {
  google::rpc::BadRequest bad_request;
  for (const FieldViolation& violation : violations) {
    if (bad_request.field_violations_size() == kStatusViolationsMax) break;
    auto* added = bad_request.add_field_violations();
    added->set_field(CleanText(violation.field, kViolationFieldBytesMax));
    added->set_description(
        CleanText(violation.description, kViolationDescriptionBytesMax));
  }
  result->add_details()->PackFrom(bad_request);
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status,
                          absl::string_view trace_id) {
  if (status.ok()) return grpc::Status::OK;
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);

  google::rpc::Status result;
  result.set_code(static_cast<int>(status.code()));
  result.set_message(IsForClients(status, detail.has_value())
                         ? CleanText(status.message(), kStatusMessageBytesMax)
                         : "internal error; the server's log has more");
  google::rpc::ErrorInfo info;
  info.set_reason(detail.has_value()
                      ? CleanText(detail->reason, kViolationFieldBytesMax)
                      : absl::StatusCodeToString(status.code()));
  info.set_domain(kErrorDomain);
  if (!trace_id.empty()) {
    (*info.mutable_metadata())[kTraceIdKey] = std::string(trace_id);
  }
  result.add_details()->PackFrom(info);
  if (detail.has_value() && !detail->violations.empty()) {
    const auto add = absl::IsResourceExhausted(status) ? AddQuotas : AddFields;
    add(detail->violations, &result);
  }
  if (status.code() == absl::StatusCode::kUnavailable ||
      status.code() == absl::StatusCode::kResourceExhausted) {
    const int64_t delay_ms = std::clamp<int64_t>(
        detail.has_value() ? detail->retry_delay_ms.value_or(kRetryDelayMs)
                           : kRetryDelayMs,
        0, kRetryDelayMsMax);
    google::rpc::RetryInfo retry;
    retry.mutable_retry_delay()->set_seconds(delay_ms / 1000);
    retry.mutable_retry_delay()->set_nanos(
        static_cast<int32_t>(delay_ms % 1000 * 1000000));
    result.add_details()->PackFrom(retry);
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()),
                      result.message(), result.SerializeAsString());
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  const int number = static_cast<int>(status.error_code());
  const auto code = number > 0 && number <= kCodeMax
                        ? static_cast<absl::StatusCode>(number)
                        : absl::StatusCode::kUnknown;
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) {
    return absl::Status(code, status.error_message());
  }
  ErrorDetail detail;
  for (const google::protobuf::Any& any : details.details()) {
    google::rpc::ErrorInfo info;
    google::rpc::BadRequest bad_request;
    google::rpc::QuotaFailure quotas;
    google::rpc::RetryInfo retry;
    if (any.UnpackTo(&info) && info.domain() == kErrorDomain) {
      detail.reason = info.reason();
    } else if (any.UnpackTo(&bad_request)) {
      for (const auto& violation : bad_request.field_violations()) {
        detail.violations.push_back({.field = violation.field(),
                                     .description = violation.description()});
      }
    } else if (any.UnpackTo(&quotas)) {
      for (const auto& violation : quotas.violations()) {
        detail.violations.push_back({.field = violation.subject(),
                                     .description = violation.description()});
      }
    } else if (any.UnpackTo(&retry)) {
      const int64_t seconds = std::clamp<int64_t>(retry.retry_delay().seconds(),
                                                  0, kRetryDelayMsMax / 1000);
      detail.retry_delay_ms =
          seconds * 1000 +
          std::clamp(retry.retry_delay().nanos() / 1000000, 0, 999);
    }
  }
  // A code's own name stands where the sender's status had no detail.
  if (detail.reason.empty() ||
      detail.reason == absl::StatusCodeToString(code)) {
    return absl::Status(code, status.error_message());
  }
  return MakeError(code, detail, status.error_message());
}

}  // namespace tandem
