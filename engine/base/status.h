// Errors as values. Anything that comes from outside (file, wire, flag,
// environment) is answered with an absl::Status; a bug of ours hits
// TANDEM_CHECK (check.h). A status may carry an ErrorDetail, the part of the
// error that a program can act on; the services turn it into
// google.rpc.ErrorInfo and google.rpc.BadRequest.

#ifndef TANDEM_ENGINE_BASE_STATUS_H_
#define TANDEM_ENGINE_BASE_STATUS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/base/error_reason.h"

namespace tandem {

// One field of a request or of a file that is wrong, and why.
struct FieldViolation {
  std::string field;        // e.g. "options.temperature"
  std::string description;  // e.g. "must be in [0, 100], is -1"
};

// Machine-readable part of an error.
struct ErrorDetail {
  // UPPER_SNAKE_CASE, stable, one of the constants of error_reason.h.
  std::string reason;
  std::vector<FieldViolation> violations = {};
  // After which the same request may succeed, where that is known.
  std::optional<int64_t> retry_delay_ms = {};
};

// A status with `message` that carries `detail`.
absl::Status MakeError(absl::StatusCode code, const ErrorDetail& detail,
                       absl::string_view message);

// The errors that stand in many places, one maker for each reason
// (error_reason.h).

// INVALID_ARGUMENT that is about no single field.
absl::Status InvalidArgument(const char* reason, absl::string_view message);
// INVALID_ARGUMENT with one violation; the message is "field description".
// `field` is the path in the request, e.g. "open.tokens[3]".
absl::Status InvalidField(absl::string_view field,
                          absl::string_view description,
                          const char* reason = kReasonInvalidOptions);
// INVALID_ARGUMENT: a file that is not what its format says.
absl::Status MalformedFile(absl::string_view message);
// INVALID_ARGUMENT: a well-formed file that this build can not run.
absl::Status UnsupportedModel(absl::string_view message);
// NOT_FOUND: no model of the id that was asked for.
absl::Status UnknownModel(absl::string_view message);
// FAILED_PRECONDITION: the request does not go with what came before it.
absl::Status WrongState(absl::string_view message);
// RESOURCE_EXHAUSTED: memory or places are used up. `retry_delay_ms`: after
// which the same request may succeed, where that is known.
absl::Status Exhausted(absl::string_view message,
                       std::optional<int64_t> retry_delay_ms = std::nullopt);
// UNAVAILABLE: no worker can serve the request now.
absl::Status NoWorker(absl::string_view message);
// UNAVAILABLE: the process is shutting down.
absl::Status Draining(absl::string_view message);

// The detail that `status` carries, if MakeError made it.
std::optional<ErrorDetail> GetErrorDetail(const absl::Status& status);

// `status` with "context: " before its message; code and detail are kept.
absl::Status Annotate(const absl::Status& status, absl::string_view context);

}  // namespace tandem

#define TANDEM_CONCAT_INNER(a, b) a##b
#define TANDEM_CONCAT(a, b) TANDEM_CONCAT_INNER(a, b)

#define TANDEM_RETURN_IF_ERROR(expression)                                \
  do {                                                                    \
    if (absl::Status tandem_status = (expression); !tandem_status.ok()) { \
      return tandem_status;                                               \
    }                                                                     \
  } while (false)

#define TANDEM_ASSIGN_OR_RETURN(lhs, expression)                           \
  TANDEM_ASSIGN_OR_RETURN_INNER(TANDEM_CONCAT(tandem_statusor_, __LINE__), \
                                lhs, expression)

#define TANDEM_ASSIGN_OR_RETURN_INNER(statusor, lhs, expression) \
  auto statusor = (expression);                                  \
  if (!statusor.ok()) return std::move(statusor).status();       \
  lhs = std::move(statusor).value()

#endif  // TANDEM_ENGINE_BASE_STATUS_H_
