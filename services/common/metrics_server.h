// Serves a process's metrics over HTTP: GET /metrics in Prometheus' text form.
// Owned by the process's server; Start and destruction by one thread.
//
// A registry holds figures that are counted where they happen. What is known
// elsewhere already (open streams, free pages) is asked for at each scrape.

#ifndef TANDEM_SERVICES_COMMON_METRICS_SERVER_H_
#define TANDEM_SERVICES_COMMON_METRICS_SERVER_H_

#include <prometheus/registry.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/synchronization/mutex.h"
#include "engine/base/status.h"

namespace httplib {
class Server;
}  // namespace httplib

namespace tandem {

// Scrapes served at once; more wait.
inline constexpr int kScrapesMax = 2;

struct MetricsFlags {
  std::string listen;  // empty: no metrics
  bool insecure_listen = false;
};

// OK where `flags.listen` is empty or host:port with a loopback host, or with
// any host where insecure_listen is set. Errors: INVALID_ARGUMENT.
absl::Status CheckMetricsFlags(const MetricsFlags& flags);

class MetricsServer {
 public:
  // Listens at `flags`.listen. `refresh`, called before each scrape by one
  // thread at a time, brings gauges up to date; it and `registry` live as long
  // as the server. Errors: INVALID_ARGUMENT with one line that names the flag.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(
      const MetricsFlags& flags, std::shared_ptr<prometheus::Registry> registry,
      std::function<void()> refresh);
  ~MetricsServer();

  MetricsServer(const MetricsServer&) = delete;
  MetricsServer& operator=(const MetricsServer&) = delete;

  // host:port, with the port that was bound.
  const std::string& address() const { return address_; }

 private:
  MetricsServer(std::shared_ptr<prometheus::Registry> registry,
                std::function<void()> refresh);

  absl::Status Listen(const MetricsFlags& flags);
  std::string Scrape();

  const std::shared_ptr<prometheus::Registry> registry_;
  const std::function<void()> refresh_;
  absl::Mutex mutex_;  // one scrape at a time refreshes
  std::unique_ptr<httplib::Server> server_;
  std::string address_;
  std::thread thread_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_METRICS_SERVER_H_
