// Errors on the wire: absl::Status <-> grpc::Status with google.rpc.Status
// details. Pure functions; any thread.

#ifndef TANDEM_SERVICES_COMMON_STATUS_CONVERSION_H_
#define TANDEM_SERVICES_COMMON_STATUS_CONVERSION_H_

#include <grpcpp/support/status.h>

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"

namespace tandem {

// The ErrorInfo domain of everything that tandem sends.
inline constexpr char kErrorDomain[] = "tandem";
inline constexpr char kTraceIdKey[] = "trace_id";
// RetryInfo of UNAVAILABLE and RESOURCE_EXHAUSTED where the status has none of
// its own, and the greatest that is sent or believed.
inline constexpr int64_t kRetryDelayMs = 1000;
inline constexpr int64_t kRetryDelayMsMax = 3600000;
// What a status may carry at most, so that the trailers stay below the 8 KiB
// of metadata that clients accept by default: the message goes twice (percent
// encoding triples it, base64 adds a third), the violations once.
inline constexpr size_t kStatusMessageBytesMax = 768;
inline constexpr int kStatusViolationsMax = 8;
inline constexpr size_t kViolationFieldBytesMax = 96;
inline constexpr size_t kViolationDescriptionBytesMax = 200;

// For a client: ErrorInfo always (its reason is the ErrorDetail's, else the
// code's name), BadRequest where the detail has violations (QuotaFailure for
// RESOURCE_EXHAUSTED), RetryInfo for UNAVAILABLE and RESOURCE_EXHAUSTED. The
// message of an INTERNAL, UNKNOWN or DATA_LOSS status without ErrorDetail was
// not written for clients and is replaced by a general one; what is too long is
// cut. `trace_id`, where there is one, goes to the ErrorInfo's metadata under
// kTraceIdKey.
grpc::Status ToGrpcStatus(const absl::Status& status,
                          absl::string_view trace_id = "");

// The way back, with the ErrorDetail where the details carry one.
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_STATUS_CONVERSION_H_
