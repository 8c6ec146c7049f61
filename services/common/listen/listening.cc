#include "services/common/listen/listening.h"

#include <grpcpp/resource_quota.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/output_file.h"
#include "services/common/listen/listening_sockets.h"

namespace tandem {
namespace {

using ExternalAcceptor = grpc::experimental::ExternalConnectionAcceptor;

void BoundAge(const ConnectionAge& age, grpc::ServerBuilder* builder) {
  if (age.max.count() == 0) return;
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                              static_cast<int>(age.max.count()));
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
                              static_cast<int>(age.grace.count()));
}

}  // namespace

ListeningServer::~ListeningServer() {
  Shutdown(std::chrono::system_clock::now());
}

void ListeningServer::Shutdown(std::chrono::system_clock::time_point deadline) {
  // What is handed to a gRPC server that shuts down is never closed.
  if (acceptor_ != nullptr) acceptor_->Stop();
  server_->Shutdown(deadline);
}

absl::StatusOr<std::unique_ptr<ListeningServer>> StartServer(
    const ListenOptions& options,
    absl::FunctionRef<void(grpc::ServerBuilder*)> add_services) {
  TANDEM_ASSIGN_OR_RETURN(
      std::unique_ptr<ListeningSockets> sockets,
      ListeningSockets::Open(options.flag, options.address));
  const InboundLimits limits =
      InboundLimitsOf(options.use, ReadProcessLimits());
  grpc::ServerBuilder builder;
  ConfigureServer(&builder, options.reflection);
  BoundAge(options.age, &builder);
  // gRPC counts bytes that came and are not read, metadata, and the state of
  // calls. Where they are used up it closes connections without calls, and then
  // ends calls.
  grpc::ResourceQuota inbound(absl::StrCat("inbound at ", options.address));
  inbound.Resize(static_cast<size_t>(limits.message_bytes));
  if (options.threads_max > 0) inbound.SetMaxThreads(options.threads_max);
  builder.SetResourceQuota(inbound);
  const std::shared_ptr<ExternalAcceptor> to_grpc =
      builder.experimental().AddExternalConnectionAcceptor(
          grpc::ServerBuilder::experimental_type::ExternalConnectionType::
              FROM_FD,
          options.credentials == nullptr ? grpc::InsecureServerCredentials()
                                         : options.credentials);
  add_services(&builder);
  std::unique_ptr<grpc::Server> grpc_server = builder.BuildAndStart();
  if (grpc_server == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.flag, " ", options.address,
                     ": gRPC can not serve there; --log-level debug shows "
                     "why"));
  }
  auto server = std::make_unique<ListeningServer>(std::move(grpc_server),
                                                  sockets->address());
  const auto take = [to_grpc](Descriptor socket) {
    ExternalAcceptor::NewConnectionParameters connection;
    connection.fd = socket.Release();
    to_grpc->HandleNewConnection(&connection);
  };
  server->AcceptBy(std::make_unique<ConnectionAcceptor>(
      std::move(sockets),
      AcceptorOptions{.limits = limits, .refused = options.refused}, take));
  return server;
}

absl::Status WriteAddressFile(const std::string& path,
                              absl::string_view address) {
  if (path.empty()) return absl::OkStatus();
  const auto write = [&]() -> absl::Status {
    TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<OutputFile> file,
                            OutputFile::Create(path));
    TANDEM_RETURN_IF_ERROR(file->Append(absl::StrCat(address, "\n")));
    return file->Commit();
  };
  const absl::Status status = write();
  if (status.ok()) return status;
  return absl::InvalidArgumentError(
      absl::StrCat("address file ", std::string(status.message())));
}

}  // namespace tandem
