// How every command that talks to a server reaches it, and what its user reads
// where there is no connection.

#ifndef TANDEM_TOOLS_TANDEM_BASE_CONNECTION_H_
#define TANDEM_TOOLS_TANDEM_BASE_CONNECTION_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "grpcpp/channel.h"
#include "services/client/client.h"
#include "services/common/connection_probe.h"
#include "tools/tandem/base/command.h"

namespace tandem::cli {

// The client of a coordinator; `flag` is the flag that gave `address`. A usage
// error where the address has no form of one, the key file can not be read, or
// the key would go in plain text.
absl::StatusOr<client::ClientOptions> ServiceOptions(
    absl::string_view flag, const std::string& address,
    const ConnectionFlags& connection);

// A channel for the services that every server has: its first call connects,
// and the API key of --key-file goes with each call. Errors: as ServiceOptions,
// and a usage error where TLS files can not be used.
absl::StatusOr<std::shared_ptr<grpc::Channel>> Connect(
    absl::string_view flag, const std::string& address,
    const ConnectionFlags& connection);

struct Unreachable {
  std::string who;      // "the coordinator at ADDRESS"
  std::string address;  // where the call went
  std::string hint;     // what to do where nobody listens: "start one with ..."
  absl::Duration probe_timeout = kProbeTimeout;
};

// For a call that failed by `error` without an answer: UNAVAILABLE, with the
// reason. Connects once more to find it, so it may block for probe_timeout.
absl::Status ExplainUnreachable(const Unreachable& server,
                                const ConnectionFlags& connection,
                                const absl::Status& error);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_BASE_CONNECTION_H_
