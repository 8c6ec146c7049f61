// One call of grpc.health.v1.Health/Check. Debian ships no proto of it; its two
// messages have one field each and are written by hand here.

#ifndef TANDEM_TOOLS_TANDEM_HEALTH_CLIENT_H_
#define TANDEM_TOOLS_TANDEM_HEALTH_CLIENT_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "grpcpp/channel.h"

namespace tandem::cli {

// Numbers of grpc.health.v1.HealthCheckResponse.ServingStatus.
enum class Serving { kUnknown = 0, kServing = 1, kNotServing = 2 };

absl::string_view ServingName(Serving serving);

// The state of `service`. Errors: UNAVAILABLE where nobody answers, NOT_FOUND
// for a service that the server does not know, UNIMPLEMENTED where it has no
// health service, DEADLINE_EXCEEDED.
absl::StatusOr<Serving> CheckHealth(
    const std::shared_ptr<grpc::Channel>& channel, const std::string& service,
    absl::Duration timeout);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_HEALTH_CLIENT_H_
