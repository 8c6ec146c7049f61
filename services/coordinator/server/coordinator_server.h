// A whole coordinator: event loop, worker pool, sessions and the gRPC server
// with health. Owned by main (or a test), which alone calls it.

#ifndef TANDEM_SERVICES_COORDINATOR_SERVER_COORDINATOR_SERVER_H_
#define TANDEM_SERVICES_COORDINATOR_SERVER_COORDINATOR_SERVER_H_

#include <grpcpp/server.h>

#include <chrono>
#include <memory>
#include <string>

#include "absl/synchronization/mutex.h"
#include "engine/base/status.h"
#include "services/common/credentials.h"
#include "services/common/metrics_server.h"
#include "services/coordinator/client/background_thread.h"
#include "services/coordinator/client/client_stream.h"
#include "services/coordinator/client/session_store.h"
#include "services/coordinator/routing/router.h"
#include "services/coordinator/server/coordinator_metrics.h"
#include "services/coordinator/server/generation_service.h"
#include "services/coordinator/turn/event_loop.h"
#include "services/coordinator/workers/tokenizer_cache.h"
#include "services/coordinator/workers/worker_pool.h"

namespace tandem {

struct CoordinatorOptions {
  std::string listen = "127.0.0.1:7070";
  ServerTlsFiles tls;
  ChannelTlsFiles worker_tls;
  WorkerPoolOptions workers;
  SessionLimits sessions;
  int64_t turns_max = 1000;
  TurnLimits turn_limits;
  bool reflection = false;
  MetricsFlags metrics;
};

class CoordinatorServer {
 public:
  // Listens; workers are found in the background. Errors: INVALID_ARGUMENT for
  // files, limits and addresses, one that is in use too.
  static absl::StatusOr<std::unique_ptr<CoordinatorServer>> Start(
      const CoordinatorOptions& options);
  // Stops at once, if Stop was not called.
  ~CoordinatorServer();

  CoordinatorServer(const CoordinatorServer&) = delete;
  CoordinatorServer& operator=(const CoordinatorServer&) = delete;

  // The address with the port that was bound.
  const std::string& address() const { return address_; }
  // Where metrics are served; empty: nowhere.
  std::string metrics_address() const;
  // A turn can be started.
  bool ready() const { return router_.HasTarget(); }
  int64_t sessions() const { return sessions_.size(); }
  int64_t turns() const { return services_.turns.load(); }

  // Takes no new turn, lets running ones end within `drain_timeout`, then ends
  // them with UNAVAILABLE and DRAINING, and stops. Once.
  void Stop(std::chrono::milliseconds drain_timeout);

 private:
  explicit CoordinatorServer(
      const CoordinatorOptions& options,
      std::shared_ptr<grpc::ChannelCredentials> worker_credentials);

  absl::Status Listen(const CoordinatorOptions& options);
  absl::Status ServeMetrics(const MetricsFlags& flags);
  void UpdateReady();
  void WaitForWorkerStreams();

  CoordinatorMetrics metrics_;
  EventLoopThread loop_;
  TokenizerCache tokenizers_;
  WorkerPool pool_;
  Router router_;
  SessionStore sessions_;
  ClientStreamRegistry registry_;
  ClientServices services_;
  std::unique_ptr<BackgroundThread> background_;
  GenerationService service_;
  absl::Mutex ready_mutex_;  // orders updates of the health service
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
  std::unique_ptr<MetricsServer> metrics_server_;
  bool stopped_ = false;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_SERVER_COORDINATOR_SERVER_H_
