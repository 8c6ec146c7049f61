// How a server comes to listen at an address, and where it listens. Whether it
// can is found out before gRPC tries: gRPC's own refusal is one long line of
// its log, and for a unix socket gRPC takes the place of a server that runs.
// Any thread.

#ifndef TANDEM_SERVICES_COMMON_LISTENING_H_
#define TANDEM_SERVICES_COMMON_LISTENING_H_

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "services/common/channel.h"
#include "services/common/credentials.h"

namespace tandem {

struct ListenOptions {
  absl::string_view flag;  // which gave `address`, for messages: "--listen"
  std::string address;     // has passed CheckListenAddress
  ServerTlsFiles tls = {};
  Reflection reflection = Reflection::kOff;
};

struct ListeningServer {
  std::unique_ptr<grpc::Server> server;
  std::string address;  // with the port that was bound
};

// A server that listens. `add_services` registers what it serves. Errors:
// INVALID_ARGUMENT, of MakeServerCredentials, CheckCanListen and CannotListen.
absl::StatusOr<ListeningServer> StartServer(
    const ListenOptions& options,
    absl::FunctionRef<void(grpc::ServerBuilder*)> add_services);

// `address` has passed CheckListenAddress; `flag` is the flag that gave it, for
// messages. Binds the address for a moment, any address of a name; port 0 is
// always OK. A socket file at which nothing listens any more is removed. Two
// servers that start in the same moment may both pass; the second one's bind
// fails then for a port. Errors: INVALID_ARGUMENT, "FLAG ADDRESS: ...": another
// server listens there, or the system's reason.
absl::Status CheckCanListen(absl::string_view flag, absl::string_view address);

// The error of a bind that failed after the check had passed: what the check
// says now, or that the reason is gRPC's.
absl::Status CannotListen(absl::string_view flag, absl::string_view address);

// `listen` (as CheckListenAddress takes it) with the port that was bound.
std::string BoundAddress(absl::string_view listen, int port);

// Writes `address` and a newline to `path` in one step (a file beside it,
// renamed), so that a reader never sees half of it; nothing where `path` is
// empty. Errors: INVALID_ARGUMENT.
absl::Status WriteAddressFile(const std::string& path,
                              absl::string_view address);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_LISTENING_H_
