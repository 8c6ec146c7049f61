// Serves a process's metrics over HTTP: GET /metrics in Prometheus' text form.
// Owned by the process's server; Start and destruction by one thread.
//
// A registry holds figures that are counted where they happen. What is known
// elsewhere already (open streams, free pages) is asked for at each scrape.
//
// One thread serves all connections. Each has kMetricsTimeLimit, from its begin
// to its end; where there are kMetricsConnectionsMax the oldest makes way for a
// new one, so that slow senders and readers keep nobody out.

#ifndef TANDEM_SERVICES_COMMON_LISTEN_METRICS_SERVER_H_
#define TANDEM_SERVICES_COMMON_LISTEN_METRICS_SERVER_H_

#include <prometheus/registry.h>

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/base/descriptor.h"
#include "engine/base/status.h"
#include "services/common/listen/listening_sockets.h"
#include "services/common/metrics_flags.h"

namespace tandem {

inline constexpr size_t kMetricsConnectionsMax = 16;
inline constexpr absl::Duration kMetricsTimeLimit = absl::Seconds(5);

// What is served, and to whom. One thread calls the functions, which live as
// long as the server.
struct MetricsSource {
  std::shared_ptr<prometheus::Registry> registry;
  // Brings gauges up to date, before each scrape.
  std::function<void()> refresh;
  // Whether a request with this authorization header may read them; empty: all
  // may.
  std::function<bool(absl::string_view authorization)> may_read = nullptr;
};

class MetricsServer {
 public:
  // Listens at `flags`.listen. Errors: INVALID_ARGUMENT with one line that
  // names the flag.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(
      const MetricsFlags& flags, MetricsSource source);
  ~MetricsServer();

  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  // host:port, with the port that was bound.
  const std::string& address() const { return sockets_->address(); }

 private:
  // First the request comes, then the answer goes, then what else comes is
  // dropped until the client has closed: a close before that could cut off the
  // answer.
  struct Connection {
    Descriptor socket;
    absl::Time end;  // of MonotonicNow
    std::string request = {};
    std::string answer = {};
    size_t sent = 0;  // of `answer`
    bool is_answered = false;
  };

  MetricsServer(std::unique_ptr<ListeningSockets> sockets,
                MetricsSource source);

  void Run();
  // Waits until something can be done, then does it; false: stop.
  bool RunOnce();
  void Accept(const Descriptor& listener);
  // Goes on as far as the socket allows; false: the connection is over.
  bool Serve(Connection* connection);
  bool Receive(Connection* connection);
  bool Send(Connection* connection);

  const std::unique_ptr<ListeningSockets> sockets_;
  const MetricsSource source_;
  const int descriptors_max_;
  const Descriptor stop_;  // an eventfd
  // The thread's own.
  std::deque<Connection> connections_;  // the oldest first
  absl::Time accept_from_ = absl::InfinitePast();

  std::thread thread_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_LISTEN_METRICS_SERVER_H_
