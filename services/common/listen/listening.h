// How a gRPC server comes to listen at an address, and how it ends. Connections
// are accepted by a thread of ours (connection_acceptor.h) and handed to gRPC.

#ifndef TANDEM_SERVICES_COMMON_LISTEN_LISTENING_H_
#define TANDEM_SERVICES_COMMON_LISTEN_LISTENING_H_

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "services/common/channel.h"
#include "services/common/listen/connection_acceptor.h"
#include "services/common/listen/inbound_limits.h"

namespace tandem {

// How long a connection is kept. After `max` it gets no new calls (GOAWAY), and
// its client connects again; after `grace` more its calls end with UNAVAILABLE.
// gRPC draws a tenth more or less of `max` for each connection.
struct ConnectionAge {
  std::chrono::milliseconds max{0};  // 0: no bound
  std::chrono::milliseconds grace{0};
};

struct ListenOptions {
  absl::string_view flag;  // which gave `address`, for messages: "--listen"
  std::string address;     // has passed CheckListenAddress
  // Null: plaintext.
  std::shared_ptr<grpc::ServerCredentials> credentials = nullptr;
  Reflection reflection = Reflection::kOff;
  PortUse use = PortUse::kClients;
  // Threads for calls that wait in one; 0: no bound.
  int threads_max = 0;
  ConnectionCounters* refused = nullptr;  // as AcceptorOptions::refused
  ConnectionAge age = {};
};

// A gRPC server that listens. Owned by the process's server; any thread, but
// for Shutdown and the destructor, which one thread calls.
class ListeningServer {
 public:
  ListeningServer(std::unique_ptr<grpc::Server> server, std::string address)
      : server_(std::move(server)), address_(std::move(address)) {}
  // Shuts down at once.
  ~ListeningServer();

  ListeningServer(const ListeningServer&) = delete;
  ListeningServer& operator=(const ListeningServer&) = delete;

  // From now on connections are accepted.
  void AcceptBy(std::unique_ptr<ConnectionAcceptor> acceptor) {
    acceptor_ = std::move(acceptor);
  }
  // Listens no more, then as grpc::Server::Shutdown. More than once is good.
  void Shutdown(std::chrono::system_clock::time_point deadline);

  // With the port that was bound.
  const std::string& address() const { return address_; }
  grpc::HealthCheckServiceInterface* health() const {
    return server_->GetHealthCheckService();
  }

 private:
  const std::unique_ptr<grpc::Server> server_;
  const std::string address_;
  std::unique_ptr<ConnectionAcceptor> acceptor_;
};

// A server that listens. `add_services` registers what it serves. Errors:
// INVALID_ARGUMENT, of ListeningSockets::Open.
absl::StatusOr<std::unique_ptr<ListeningServer>> StartServer(
    const ListenOptions& options,
    absl::FunctionRef<void(grpc::ServerBuilder*)> add_services);

// Writes `address` and a newline to `path` in one step (a file beside it,
// renamed), so that a reader never sees half of it; nothing where `path` is
// empty. Errors: INVALID_ARGUMENT.
absl::Status WriteAddressFile(const std::string& path,
                              absl::string_view address);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_LISTEN_LISTENING_H_
