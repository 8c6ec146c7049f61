// One question to a server's health service. Any thread.

#ifndef TANDEM_TOOLS_TANDEM_BASE_HEALTH_CHECK_H_
#define TANDEM_TOOLS_TANDEM_BASE_HEALTH_CHECK_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "grpc/health/v1/health.pb.h"
#include "grpcpp/channel.h"

namespace tandem::cli {

using ServingState = grpc::health::v1::HealthCheckResponse::ServingStatus;

// The state of `service`. Errors: UNAVAILABLE where nobody answers, NOT_FOUND
// for a service that the server does not have, UNIMPLEMENTED where the server
// has no health service, DEADLINE_EXCEEDED after `timeout`.
absl::StatusOr<ServingState> CheckHealth(
    const std::shared_ptr<grpc::Channel>& channel, const std::string& service,
    absl::Duration timeout);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_BASE_HEALTH_CHECK_H_
