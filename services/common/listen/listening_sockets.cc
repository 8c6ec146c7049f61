#include "services/common/listen/listening_sockets.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/file_kind.h"
#include "services/common/channel.h"

namespace tandem {
namespace {

// With port 0, ports that are tried: one that is free at a name's first address
// may be in use at the second.
constexpr int kPortTriesMax = 16;
// Connections that broke before they were accepted, in a row.
constexpr int kBrokenMax = 64;
// IPv6 addresses of one peer have this many bytes in common.
constexpr size_t kNetworkBytes = 8;

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

struct SocketAddress {
  sockaddr_storage bytes = {};
  socklen_t size = sizeof(sockaddr_storage);

  sockaddr* generic() { return reinterpret_cast<sockaddr*>(&bytes); }
  // Of TCP; the port stands in the same place for IPv4 and IPv6.
  in_port_t* port() {
    return &reinterpret_cast<sockaddr_in*>(&bytes)->sin_port;
  }
};

SocketAddress ToSocketAddress(const addrinfo& info) {
  SocketAddress address;
  address.size = info.ai_addrlen;
  std::memcpy(&address.bytes, info.ai_addr, info.ai_addrlen);
  return address;
}

// Of any address, IPv4 too.
SocketAddress AnyAddress(int port) {
  SocketAddress address;
  auto* const any = reinterpret_cast<sockaddr_in6*>(&address.bytes);
  any->sin6_family = AF_INET6;
  any->sin6_addr = in6addr_any;
  any->sin6_port = htons(static_cast<uint16_t>(port));
  address.size = sizeof(sockaddr_in6);
  return address;
}

// Whether `info` stands in `list` before itself, as a hosts file may have it.
bool IsRepeated(const addrinfo* list, const addrinfo& info) {
  for (const addrinfo* it = list; it != &info; it = it->ai_next) {
    if (it->ai_addrlen == info.ai_addrlen &&
        std::memcmp(it->ai_addr, info.ai_addr, info.ai_addrlen) == 0) {
      return true;
    }
  }
  return false;
}

void SetOption(int socket, int level, int name, int value) {
  (void)setsockopt(socket, level, name, &value, sizeof(value));
}

// A socket that listens, or errno. Connections inherit the options, which are
// those that gRPC sets for its own.
int ListenAt(SocketAddress* address, Descriptor* result) {
  const int family = address->bytes.ss_family;
  Descriptor socket(
      ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open()) return errno;
  if (family != AF_UNIX) {
    // Connections of an ended server that linger do not count.
    SetOption(socket.number(), SOL_SOCKET, SO_REUSEADDR, 1);
    SetOption(socket.number(), IPPROTO_TCP, TCP_NODELAY, 1);
    SetOption(socket.number(), IPPROTO_TCP, TCP_USER_TIMEOUT,
              kKeepaliveTimeoutMs);
  }
  if (family == AF_INET6) {
    SetOption(socket.number(), IPPROTO_IPV6, IPV6_V6ONLY, 0);
  }
  if (bind(socket.number(), address->generic(), address->size) != 0 ||
      listen(socket.number(), SOMAXCONN) != 0) {
    return errno;
  }
  address->size = sizeof(address->bytes);
  if (getsockname(socket.number(), address->generic(), &address->size) != 0) {
    return errno;
  }
  *result = std::move(socket);
  return 0;
}

// Makes way for a server at `path`: removes a socket file at which nothing
// listens.
absl::Status FreePath(const std::string& path, SocketAddress* address) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) return absl::OkStatus();
  if (!S_ISSOCK(info.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat("is ", FileKindName(info.st_mode),
                     "; name a path that is free, or a socket's"));
  }
  // Non-blocking: a server whose queue is full is one that runs.
  const Descriptor socket(
      ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open()) return SystemError(errno);
  if (connect(socket.number(), address->generic(), address->size) == 0 ||
      errno == EAGAIN) {
    return InUse();
  }
  if (errno != ECONNREFUSED) return SystemError(errno);
  return unlink(path.c_str()) == 0 ? absl::OkStatus() : SystemError(errno);
}

}  // namespace

absl::StatusOr<std::unique_ptr<ListeningSockets>> ListeningSockets::Open(
    absl::string_view flag, absl::string_view address) {
  std::unique_ptr<ListeningSockets> sockets(new ListeningSockets);
  absl::Status status;
  int port = 0;
  if (const std::optional<std::string> path = ParseUnixPath(address)) {
    status = sockets->OpenPath(*path);
  } else if (const std::optional<HostPort> at = ParseHostPort(address)) {
    status = sockets->OpenPort(*at, &port);
  } else {
    status = absl::InvalidArgumentError("is no address");
  }
  if (!status.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, " ", address, ": ", std::string(status.message())));
  }
  sockets->address_ = BoundAddress(address, port);
  return sockets;
}

ListeningSockets::~ListeningSockets() {
  struct stat info;
  if (!path_.empty() && lstat(path_.c_str(), &info) == 0 &&
      info.st_dev == path_device_ && info.st_ino == path_inode_) {
    (void)unlink(path_.c_str());
  }
}

absl::Status ListeningSockets::OpenPort(const HostPort& at, int* port) {
  *port = at.port;
  if (at.host == "0.0.0.0" || at.host == "::") {
    SocketAddress any = AnyAddress(at.port);
    Descriptor socket;
    const int error = ListenAt(&any, &socket);
    if (error == 0) {
      *port = ntohs(*any.port());
      sockets_.push_back(std::move(socket));
      return absl::OkStatus();
    }
    if (error == EADDRINUSE) return InUse();
    // A machine without IPv6 has the addresses of IPv4.
  }
  const absl::StatusOr<SocketAddresses> list = LookUpHost(at, AI_PASSIVE);
  if (!list.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("can not be listened at: ", at.host, ": ",
                     std::string(list.status().message())));
  }
  absl::Status status;
  for (int i = 0; i < kPortTriesMax; ++i) {
    sockets_.clear();
    *port = at.port;
    status = OpenAll(list->get(), port);
    if (status.ok() || at.port != 0) break;
  }
  return status;
}

absl::Status ListeningSockets::OpenAll(const addrinfo* list, int* port) {
  // A name with one address in use is refused, one with an address that this
  // machine does not have is not.
  int last_error = 0;
  for (const addrinfo* it = list; it != nullptr; it = it->ai_next) {
    if (IsRepeated(list, *it)) continue;
    SocketAddress address = ToSocketAddress(*it);
    *address.port() = htons(static_cast<uint16_t>(*port));
    Descriptor socket;
    const int error = ListenAt(&address, &socket);
    if (error == EADDRINUSE) return InUse();
    if (error != 0) {
      last_error = error;
      continue;
    }
    *port = ntohs(*address.port());
    sockets_.push_back(std::move(socket));
  }
  return sockets_.empty() ? SystemError(last_error) : absl::OkStatus();
}

absl::Status ListeningSockets::OpenPath(const std::string& path) {
  SocketAddress address;
  auto* const local = reinterpret_cast<sockaddr_un*>(&address.bytes);
  local->sun_family = AF_UNIX;
  if (path.size() >= sizeof(local->sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the path of a unix socket has at most ",
                     sizeof(local->sun_path) - 1, " bytes"));
  }
  std::memcpy(local->sun_path, path.data(), path.size());
  address.size = sizeof(sockaddr_un);
  TANDEM_RETURN_IF_ERROR(FreePath(path, &address));
  Descriptor socket;
  const int error = ListenAt(&address, &socket);
  if (error != 0) return SystemError(error);
  struct stat info;
  if (lstat(path.c_str(), &info) == 0) {
    path_ = path;
    path_device_ = info.st_dev;
    path_inode_ = info.st_ino;
  }
  sockets_.push_back(std::move(socket));
  return absl::OkStatus();
}

std::string BoundAddress(absl::string_view listen, int port) {
  if (absl::StartsWith(listen, kUnixPrefix)) return std::string(listen);
  return absl::StrCat(listen.substr(0, listen.rfind(':')), ":", port);
}

std::string PeerOf(const sockaddr_storage& address) {
  in_addr v4 = {};
  if (address.ss_family == AF_INET) {
    v4 = reinterpret_cast<const sockaddr_in*>(&address)->sin_addr;
  } else if (address.ss_family == AF_INET6) {
    const in6_addr& v6 =
        reinterpret_cast<const sockaddr_in6*>(&address)->sin6_addr;
    if (IN6_IS_ADDR_LOOPBACK(&v6)) return "";
    if (!IN6_IS_ADDR_V4MAPPED(&v6)) {
      return std::string(reinterpret_cast<const char*>(&v6), kNetworkBytes);
    }
    std::memcpy(&v4, v6.s6_addr + sizeof(v6) - sizeof(v4), sizeof(v4));
  } else {
    return "";
  }
  constexpr uint32_t kLoopbackNetwork = 127;
  if (ntohl(v4.s_addr) >> 24 == kLoopbackNetwork) return "";
  return std::string(reinterpret_cast<const char*>(&v4), sizeof(v4));
}

absl::StatusOr<std::optional<Accepted>> AcceptConnection(
    const Descriptor& listener) {
  for (int i = 0; i < kBrokenMax; ++i) {
    SocketAddress peer;
    Descriptor socket(accept4(listener.number(), peer.generic(), &peer.size,
                              SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (socket.is_open()) {
      return Accepted{.socket = std::move(socket), .peer = PeerOf(peer.bytes)};
    }
    switch (errno) {
      case EAGAIN:
        return std::nullopt;
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
        return absl::ResourceExhaustedError(strerror(errno));
      default:  // errors of the connection, accept(2): the next may be good
        break;
    }
  }
  return std::nullopt;
}

}  // namespace tandem
