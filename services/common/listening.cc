#include "services/common/listening.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/descriptor.h"
#include "engine/base/file_kind.h"
#include "engine/base/output_file.h"
#include "services/common/address.h"

namespace tandem {
namespace {

// Errors without the flag and the address.
absl::Status InUse() {
  return absl::InvalidArgumentError(
      "is in use: another server listens there; stop it, or choose another "
      "address");
}

absl::Status SystemError(int error) {
  if (error == EADDRINUSE) return InUse();
  return absl::InvalidArgumentError(
      absl::StrCat("can not be listened at: ", strerror(error)));
}

// Whether a socket can have the address; 0 or the error.
int TryBind(int family, const sockaddr* address, socklen_t size) {
  const Descriptor socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (socket.number() < 0) return errno;
  const int yes = 1;
  // As gRPC does: connections of an ended server that linger do not count.
  (void)setsockopt(socket.number(), SOL_SOCKET, SO_REUSEADDR, &yes,
                   sizeof(yes));
  return bind(socket.number(), address, size) == 0 ? 0 : errno;
}

absl::Status TryPort(const HostPort& at) {
  if (at.port == 0) return absl::OkStatus();
  const absl::StatusOr<SocketAddresses> list = LookUpHost(at, AI_PASSIVE);
  if (!list.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("can not be listened at: ", at.host, ": ",
                     std::string(list.status().message())));
  }
  // gRPC listens where it can and says nothing of the rest: a name with one
  // address in use is refused, one without IPv6 on this machine is not.
  int last_error = 0;
  bool any = false;
  for (const addrinfo* it = list->get(); it != nullptr; it = it->ai_next) {
    const int failed = TryBind(it->ai_family, it->ai_addr, it->ai_addrlen);
    if (failed == EADDRINUSE) return InUse();
    if (failed == 0) any = true;
    if (failed != 0) last_error = failed;
  }
  return any ? absl::OkStatus() : SystemError(last_error);
}

absl::Status TryUnixPath(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the path of a unix socket has at most ",
                     sizeof(address.sun_path) - 1, " bytes"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const auto* const generic = reinterpret_cast<const sockaddr*>(&address);
  struct stat info;
  if (lstat(path.c_str(), &info) == 0) {
    if (!S_ISSOCK(info.st_mode)) {
      return absl::InvalidArgumentError(
          absl::StrCat("is ", FileKindName(info.st_mode),
                       "; name a path that is free, or a socket's"));
    }
    // Non-blocking: a server whose queue is full is one that runs.
    const Descriptor socket(
        ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (socket.number() < 0) return SystemError(errno);
    if (connect(socket.number(), generic, sizeof(address)) == 0 ||
        errno == EAGAIN) {
      return InUse();
    }
    if (errno != ECONNREFUSED) return SystemError(errno);
    if (unlink(path.c_str()) != 0) return SystemError(errno);
  }
  const int error = TryBind(AF_UNIX, generic, sizeof(address));
  if (error != 0) return SystemError(error);
  (void)unlink(path.c_str());
  return absl::OkStatus();
}

absl::Status Named(absl::string_view flag, absl::string_view address,
                   const absl::Status& status) {
  return absl::InvalidArgumentError(
      absl::StrCat(flag, " ", address, ": ", std::string(status.message())));
}

}  // namespace

absl::Status CheckCanListen(absl::string_view flag, absl::string_view address) {
  absl::Status status;
  if (const std::optional<std::string> path = ParseUnixPath(address)) {
    status = TryUnixPath(*path);
  } else if (const std::optional<HostPort> at = ParseHostPort(address)) {
    status = TryPort(*at);
  }
  return status.ok() ? status : Named(flag, address, status);
}

absl::Status CannotListen(absl::string_view flag, absl::string_view address) {
  const absl::Status now = CheckCanListen(flag, address);
  if (!now.ok()) return now;
  return Named(flag, address,
               absl::InvalidArgumentError(
                   "gRPC can not listen there; --log-level debug shows why"));
}

std::string BoundAddress(absl::string_view listen, int port) {
  if (absl::StartsWith(listen, kUnixPrefix)) return std::string(listen);
  return absl::StrCat(listen.substr(0, listen.rfind(':')), ":", port);
}

absl::StatusOr<ListeningServer> StartServer(
    const ListenOptions& options,
    absl::FunctionRef<void(grpc::ServerBuilder*)> add_services) {
  TANDEM_ASSIGN_OR_RETURN(
      const std::shared_ptr<grpc::ServerCredentials> credentials,
      MakeServerCredentials(options.tls));
  TANDEM_RETURN_IF_ERROR(CheckCanListen(options.flag, options.address));
  grpc::ServerBuilder builder;
  ConfigureServer(&builder, options.reflection);
  int port = 0;
  builder.AddListeningPort(options.address, credentials, &port);
  add_services(&builder);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr) return CannotListen(options.flag, options.address);
  return ListeningServer{.server = std::move(server),
                         .address = BoundAddress(options.address, port)};
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
