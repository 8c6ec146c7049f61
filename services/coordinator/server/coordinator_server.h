// A whole coordinator: event loop, worker pool, sessions and the gRPC server
// with health. Owned by main (or a test), which alone calls it.

#ifndef TANDEM_SERVICES_COORDINATOR_SERVER_COORDINATOR_SERVER_H_
#define TANDEM_SERVICES_COORDINATOR_SERVER_COORDINATOR_SERVER_H_

#include <chrono>
#include <memory>
#include <string>

#include "absl/synchronization/mutex.h"
#include "engine/base/status.h"
#include "services/access/caller.h"
#include "services/common/credentials.h"
#include "services/common/listen/listening.h"
#include "services/common/listen/metrics_server.h"
#include "services/common/memory_trimmer.h"
#include "services/common/metrics_flags.h"
#include "services/coordinator/append/appended_prompt.h"
#include "services/coordinator/client/background_queue.h"
#include "services/coordinator/client/client_stream.h"
#include "services/coordinator/client/default_limits.h"
#include "services/coordinator/client/driver_watch.h"
#include "services/coordinator/client/left_turns.h"
#include "services/coordinator/client/memory_budget.h"
#include "services/coordinator/client/session_loader.h"
#include "services/coordinator/client/session_store.h"
#include "services/coordinator/client/turn_quotas.h"
#include "services/coordinator/routing/router.h"
#include "services/coordinator/server/coordinator_admin_service.h"
#include "services/coordinator/server/coordinator_metrics.h"
#include "services/coordinator/server/generation_service.h"
#include "services/coordinator/server/key_file_limits.h"
#include "services/coordinator/store/open_store.h"
#include "services/coordinator/turn/event_loop.h"
#include "services/coordinator/turn/prompt_quarantine.h"
#include "services/coordinator/workers/tokenizer_cache.h"
#include "services/coordinator/workers/worker_pool.h"
#include "services/identity/certificate_metrics.h"
#include "services/identity/certificate_store.h"

namespace tandem {

// Where sessions outlive the process; without a folder and an address they do
// not.
struct StoreOptions {
  std::string state_dir;     // of a SQLite database
  PostgresOptions postgres;  // in its place, where the address is set
  Retention retention = {.idle = absl::Hours(24 * 30),
                         .one_shot_idle = absl::Hours(1)};
};

struct CoordinatorOptions {
  std::string listen = "127.0.0.1:7070";
  ServerTlsFiles tls;
  std::string keys;  // the key file; empty: none
  ChannelTlsFiles worker_tls;
  WorkerPoolOptions workers;
  NamedReplyFormats reply_formats;
  SessionLimits sessions;
  StoreOptions store;
  int64_t turns_max = 1000;
  TurnLimits turn_limits;
  MonotonicDuration client_stall = kClientStall;
  MonotonicDuration append_idle = kAppendIdle;
  // Of each tenant that has none of its own in the key file; each coordinator
  // by itself.
  TenantLimits tenant_limits;
  int64_t memory_bytes_max = 0;  // 0: DefaultMemoryBudget
  bool reflection = false;
  ConnectionAge connection_age;  // of clients
  MetricsFlags metrics;
};

class CoordinatorServer {
 public:
  // Listens; workers are found in the background. Errors: INVALID_ARGUMENT for
  // files, limits and addresses, one that is in use too; INTERNAL of the
  // system.
  static absl::StatusOr<std::unique_ptr<CoordinatorServer>> Start(
      const CoordinatorOptions& options);
  // Stops at once, if Stop was not called.
  ~CoordinatorServer();

  CoordinatorServer(const CoordinatorServer&) = delete;
  CoordinatorServer& operator=(const CoordinatorServer&) = delete;

  // The address with the port that was bound.
  const std::string& address() const { return server_->address(); }
  // Where metrics are served; empty: nowhere.
  std::string metrics_address() const;
  // A turn can be started.
  bool ready() const { return router_.HasTarget(); }
  int64_t sessions() const { return sessions_.here.size(); }
  int64_t turns() const { return bounds_.quotas.turns(); }

  // Reads the certificates again, its own and those for workers, and the key
  // file, and logs what is in use; any thread.
  void Reload();
  // Takes no new turn, lets running ones end within `drain_timeout`, then ends
  // them with UNAVAILABLE and DRAINING, and stops; those without a client wait
  // at once. Once.
  void Stop(std::chrono::milliseconds drain_timeout);

 private:
  // What clients may take, together and each, and which prompts none may send.
  struct Bounds {
    // `server`: its gate, loop and metrics, which outlive this.
    Bounds(const CoordinatorOptions& options, CoordinatorServer* server);

    MemoryBudget memory;
    KeyFileLimits own_limits;
    DefaultLimits limits;
    TurnQuotas quotas;
    PromptQuarantine quarantine;
  };

  // The sessions of this process, and those in the store.
  struct Sessions {
    // `server`: its loop, router, bounds and metrics, which outlive this.
    Sessions(const CoordinatorOptions& options,
             std::unique_ptr<StateStore> state_store,
             CoordinatorServer* server);

    const std::unique_ptr<StateStore> store;  // may be null
    const Retention retention;
    SessionStore here;
    SessionLoader loader;
    LeftTurns left_turns;
    DriverWatch watch;
    EventLoop::TimerId prune_timer;
  };

  CoordinatorServer(
      const CoordinatorOptions& options, std::unique_ptr<StateStore> store,
      std::unique_ptr<CertificateStore> certificates,
      std::shared_ptr<grpc::ChannelCredentials> worker_credentials);

  absl::Status UseKeys(const CoordinatorOptions& options);
  absl::Status Listen(const CoordinatorOptions& options);
  absl::Status ServeMetrics(const MetricsFlags& flags);
  void UpdateReady();
  void WaitForWorkerStreams();
  // Takes what all clients share into the budget.
  void CountShared();
  // Deletes old sessions of the store, now and again and again.
  void Prune();

  const std::unique_ptr<CertificateStore> certificates_;
  CoordinatorMetrics metrics_;
  CertificateMetrics certificate_metrics_;
  CallerGate gate_;
  EventLoopThread loop_;
  TokenizerCache tokenizers_;
  WorkerPool pool_;
  Router router_;
  Bounds bounds_;
  BackgroundQueue background_;
  Sessions sessions_;
  ClientStreamRegistry registry_;
  ClientServices services_;
  GenerationService service_;
  CoordinatorAdminService admin_service_;
  absl::Mutex ready_mutex_;  // orders updates of the health service
  std::unique_ptr<ListeningServer> server_;
  std::unique_ptr<MetricsServer> metrics_server_;
  MemoryTrimmer trimmer_;
  bool stopped_ = false;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_SERVER_COORDINATOR_SERVER_H_
