// The connections of one port that are open, in all and by peer, and whether
// one more may stay.
//
// A connection is handed on when it was admitted, and whoever has it closes it
// without a word. It lives as long as its descriptor is the socket that it was:
// each socket has an inode number of its own. That is looked at where a bound
// is reached, not for every connection.
//
// Owned by the port's acceptor; one thread.

#ifndef TANDEM_SERVICES_COMMON_LISTEN_LIVE_CONNECTIONS_H_
#define TANDEM_SERVICES_COMMON_LISTEN_LIVE_CONNECTIONS_H_

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <unordered_map>

#include "absl/time/time.h"

namespace tandem {

// Counting takes 0.3 us for each connection: 3% of one processor for 20,000.
inline constexpr absl::Duration kCountInterval = absl::Milliseconds(200);

class LiveConnections {
 public:
  struct Limits {
    int64_t all = 0;
    int64_t of_peer = 0;
  };
  enum class Verdict { kAdmitted, kTooMany, kTooManyOfPeer };

  explicit LiveConnections(const Limits& limits) : limits_(limits) {}

  // Whether `socket`, which is open and was not seen before, may stay; it is
  // counted then. `peer`: PeerOf's; empty: any number may come from there.
  // `now`, of the monotonic clock, never goes back. Places of connections that
  // were closed within kCountInterval may still count as taken.
  Verdict Admit(int socket, const std::string& peer, absl::Time now);

  // Those of the last count, and those admitted since.
  int64_t size() const { return static_cast<int64_t>(connections_.size()); }

 private:
  struct Connection {
    ino_t inode = 0;
    std::string peer;
  };
  using Connections = std::unordered_map<int, Connection>;

  Verdict Judge(const std::string& peer) const;
  Connections::iterator Forget(Connections::iterator connection);
  // Forgets those that were closed.
  void Count();

  const Limits limits_;
  Connections connections_;  // by descriptor
  std::unordered_map<std::string, int64_t> of_peer_;
  absl::Time counted_ = absl::InfinitePast();
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_LISTEN_LIVE_CONNECTIONS_H_
