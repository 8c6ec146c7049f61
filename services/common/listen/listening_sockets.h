// The sockets that a server listens at, of one address; and how connections are
// taken from them. Owned by what accepts from them; opening on any thread.

#ifndef TANDEM_SERVICES_COMMON_LISTEN_LISTENING_SOCKETS_H_
#define TANDEM_SERVICES_COMMON_LISTEN_LISTENING_SOCKETS_H_

#include <sys/socket.h>
#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/base/descriptor.h"
#include "engine/base/status.h"
#include "services/common/address.h"

namespace tandem {

class ListeningSockets {
 public:
  // Listens at `address`, which has passed CheckListenAddress: at every address
  // of a name that this machine has; at 0.0.0.0 and [::], at all of IPv4 and
  // IPv6. Port 0 is any free one, the same for all. A socket file at which
  // nothing listens any more is replaced. `flag` is the flag that gave the
  // address. Errors: INVALID_ARGUMENT, "FLAG ADDRESS: ...": another server
  // listens there, or the system's reason.
  static absl::StatusOr<std::unique_ptr<ListeningSockets>> Open(
      absl::string_view flag, absl::string_view address);
  // Removes the socket file, unless another server has put its own there.
  ~ListeningSockets();

  ListeningSockets(const ListeningSockets&) = delete;
  ListeningSockets& operator=(const ListeningSockets&) = delete;

  // They do not block.
  absl::Span<const Descriptor> sockets() const { return sockets_; }
  // As given, with the port that was bound.
  const std::string& address() const { return address_; }

 private:
  ListeningSockets() = default;

  absl::Status OpenPort(const HostPort& at, int* port);
  // At all of `list`; port 0: `*port` is set by the first.
  absl::Status OpenAll(const addrinfo* list, int* port);
  absl::Status OpenPath(const std::string& path);

  std::vector<Descriptor> sockets_;
  std::string address_;
  // The socket file; empty: none.
  std::string path_;
  dev_t path_device_ = 0;
  ino_t path_inode_ = 0;
};

// `listen` (as CheckListenAddress takes it) with the port that was bound.
std::string BoundAddress(absl::string_view listen, int port);

// Who is at the other end, for counting: the IPv4 address, or the network of 64
// bits of an IPv6 address. Empty: this machine.
std::string PeerOf(const sockaddr_storage& address);

struct Accepted {
  Descriptor socket;  // does not block
  std::string peer;   // PeerOf
};

// After an error of AcceptConnection nothing is accepted for this long.
inline constexpr absl::Duration kAcceptPause = absl::Milliseconds(100);

// The next connection that waits at `listener`; nothing where none waits.
// Errors: RESOURCE_EXHAUSTED, in the system's words, where the process or the
// machine has no descriptor or no memory for it: it waits on.
absl::StatusOr<std::optional<Accepted>> AcceptConnection(
    const Descriptor& listener);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_LISTEN_LISTENING_SOCKETS_H_
