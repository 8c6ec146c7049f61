// A worker process without its command line: the gRPC server with health and
// reflection, the service, the loading of the models, the admin server,
// readiness and draining.
//
// Owned by main; its functions are called from one thread at a time, but for
// Load, which may run beside the others.

#ifndef TANDEM_SERVICES_WORKER_SERVER_WORKER_SERVER_H_
#define TANDEM_SERVICES_WORKER_SERVER_WORKER_SERVER_H_

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/monotonic_clock.h"
#include "engine/base/status.h"
#include "services/access/caller.h"
#include "services/common/listen/listening.h"
#include "services/common/listen/metrics_server.h"
#include "services/common/memory_trimmer.h"
#include "services/common/server_flags.h"
#include "services/identity/certificate_metrics.h"
#include "services/identity/certificate_store.h"
#include "services/worker/models/model_loader.h"
#include "services/worker/server/admin_service.h"
#include "services/worker/server/worker_metrics.h"
#include "services/worker/server/worker_service.h"

namespace tandem {

// A round of the compute thread that takes longer than this, and than its Step
// should (ComputeLoop::IsStalled), makes the worker not ready until it is over.
inline constexpr absl::Duration kStallLimit = absl::Seconds(4);
// One that takes longer than this makes it not alive: to be started again.
inline constexpr absl::Duration kDeadLimit = absl::Seconds(60);
inline constexpr absl::Duration kStallCheckInterval = absl::Milliseconds(500);
// Streams that outlive the drain time are cancelled; this long for that.
inline constexpr absl::Duration kShutdownGrace = absl::Seconds(2);

struct WorkerOptions {
  ServerFlags server;
  // Loaded at the start, in this order; at least one.
  std::vector<ModelSpec> models;
  ModelLoaderOptions loader;
  ModelBounds bounds;
  std::string admin_listen;        // empty: no admin server
  std::string admin_address_file;  // empty: none
  // Names in the certificates of those who may call the service, and the admin
  // service; see CheckCallerFlag.
  std::vector<std::string> allow_callers;
  std::vector<std::string> admin_allow_callers;
  std::string model_folder;  // of LoadModel; empty: it loads nothing
  absl::Duration stall_limit = kStallLimit;
  absl::Duration dead_limit = kDeadLimit;
};

// Threads of the admin server: calls that wait for a load or an unload.
inline constexpr int kAdminThreadsMax = 8;

class WorkerServer {
 public:
  // Listens; live, not ready. Writes the address file. Errors:
  // INVALID_ARGUMENT with one line that names the flag, INTERNAL of the system.
  static absl::StatusOr<std::unique_ptr<WorkerServer>> Listen(
      const WorkerOptions& options);
  // Ends what is left, at once.
  ~WorkerServer();

  // Loads the models and serves them. Errors: as ModelLoader::Load.
  absl::Status Load();
  // Instead of Load: serves `parts` alone. Once.
  void Serve(WorkerModelParts parts);

  // Takes no new sequences, waits for the running ones at most the drain
  // time, ends the server.
  void Drain();
  // Reads the certificates again and logs what is in use; any thread.
  void Reload();
  // A load for the admin service is under way, which can not be stopped.
  bool is_loading() { return service_.models()->is_loading(); }

  // Where it listens, with the bound port.
  const std::string& address() const { return server_->address(); }
  // Where metrics are served; empty: nowhere.
  std::string metrics_address() const;
  const std::string& admin_address() const { return admin_server_->address(); }

 private:
  explicit WorkerServer(const WorkerOptions& options);

  absl::Status Start();
  absl::Status StartAdmin();
  absl::Status ServeMetrics();
  // With the process's certificates and reflection.
  absl::StatusOr<ListenOptions> PortOptions(absl::string_view flag,
                                            const std::string& listen);
  // All models to begin with are there.
  void BecomeReady();
  void MonitorStalls();
  bool IsReady() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return loaded_ && !draining_ && !stalled_;
  }
  void UpdateReady() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const WorkerOptions options_;
  CertificateStore certificates_;
  WorkerMetrics metrics_;
  CertificateMetrics certificate_metrics_;
  CallerGate gate_;  // of the admin service
  WorkerService service_;
  ModelLoader loader_;
  AdminService admin_service_;
  std::unique_ptr<ListeningServer> server_;
  std::unique_ptr<ListeningServer> admin_server_;  // null: none

  TimedWait stopping_;
  absl::Mutex mutex_;
  bool loaded_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool stalled_ ABSL_GUARDED_BY(mutex_) = false;
  bool dead_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread monitor_;
  MemoryTrimmer trimmer_;
  std::unique_ptr<MetricsServer> metrics_server_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SERVER_WORKER_SERVER_H_
