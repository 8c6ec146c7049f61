// The thread of a port that accepts connections, within bounds, and hands them
// on. It outlives a want of descriptors: gRPC's own listener does not (1.51
// leaves it for good at EMFILE).
//
// A connection above a bound is closed at once, and counted. Where descriptors
// are used up all the same, connections wait in the system's queue until there
// are some again.
//
// Owned by the port's server; made and stopped by one thread.

#ifndef TANDEM_SERVICES_COMMON_LISTEN_CONNECTION_ACCEPTOR_H_
#define TANDEM_SERVICES_COMMON_LISTEN_CONNECTION_ACCEPTOR_H_

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/registry.h>

#include <functional>
#include <memory>
#include <thread>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/base/descriptor.h"
#include "services/common/listen/inbound_limits.h"
#include "services/common/listen/listening_sockets.h"
#include "services/common/listen/live_connections.h"
#include "services/common/logging.h"

namespace tandem {

using ConnectionCounters = prometheus::Family<prometheus::Counter>;

// Connections that were closed because of a bound, by that bound; all series
// are there from the start. Lives as long as `registry`.
ConnectionCounters* MakeRefusedConnections(prometheus::Registry* registry);

// Refusals are logged at most this often.
inline constexpr absl::Duration kRefusalLogInterval = absl::Seconds(10);

struct AcceptorOptions {
  InboundLimits limits;
  // Null, or as MakeRefusedConnections makes it; outlives the acceptor.
  ConnectionCounters* refused = nullptr;
};

class ConnectionAcceptor {
 public:
  // `take`, on the acceptor's thread, gets each connection that may stay.
  ConnectionAcceptor(std::unique_ptr<ListeningSockets> sockets,
                     const AcceptorOptions& options,
                     std::function<void(Descriptor)> take);
  ~ConnectionAcceptor() { Stop(); }

  ConnectionAcceptor(const ConnectionAcceptor&) = delete;
  ConnectionAcceptor& operator=(const ConnectionAcceptor&) = delete;

  // Listens no more; `take` has returned and is not called again.
  void Stop();

 private:
  // For one connection more.
  enum class Room { kForOthers, kForNobody };

  void Run();
  // Accepts what waits at one socket, a bounded number.
  void AcceptFrom(const Descriptor& listener);
  Room Admit(Accepted connection);
  void Refuse(const char* bound);
  // For kAcceptPause, or until Stop.
  void Pause();

  const AcceptorOptions options_;
  const std::function<void(Descriptor)> take_;
  std::unique_ptr<ListeningSockets> sockets_;
  const Descriptor stop_;  // an eventfd
  // The thread's own.
  LiveConnections connections_;
  LogLimit refusal_lines_{1, kRefusalLogInterval};

  std::thread thread_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_LISTEN_CONNECTION_ACCEPTOR_H_
