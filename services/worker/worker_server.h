// A worker process without its command line: the gRPC server with health and
// reflection, the service, the loading of the model, readiness and draining.
//
// Owned by main; its functions are called from one thread at a time, but for
// Load, which may run beside the others.

#ifndef TANDEM_SERVICES_WORKER_WORKER_SERVER_H_
#define TANDEM_SERVICES_WORKER_WORKER_SERVER_H_

#include <grpcpp/server.h>

#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/status.h"
#include "engine/engine.h"
#include "engine/model/model.h"
#include "services/common/server_flags.h"
#include "services/worker/worker_service.h"

namespace tandem {

// Names of the health service beside "".
inline constexpr char kHealthStarted[] = "tandem.started";
inline constexpr char kHealthReady[] = "tandem.ready";

// A round of the compute thread that takes longer than this, and than its Step
// should (ComputeLoop::IsStalled), makes the worker not ready until it is over.
inline constexpr absl::Duration kStallLimit = absl::Seconds(4);
inline constexpr absl::Duration kStallCheckInterval = absl::Milliseconds(500);
// Streams that outlive the drain time are cancelled; this long for that.
inline constexpr absl::Duration kShutdownGrace = absl::Seconds(2);

struct WorkerOptions {
  ServerFlags server;
  v1::WorkerRole role = v1::WORKER_ROLE_TARGET;
  std::string model_path;
  std::string model_id;      // empty: the file's stem
  std::string compute_turn;  // empty: no turns
  int queue_max = 1024;      // opens that wait for KV
  ModelOptions model;
  EngineOptions engine;
};

class WorkerServer {
 public:
  // Listens; live, not ready. Writes the address file. Errors:
  // INVALID_ARGUMENT with one line that names the flag.
  static absl::StatusOr<std::unique_ptr<WorkerServer>> Listen(
      const WorkerOptions& options);
  // Ends what is left, at once.
  ~WorkerServer();

  // Loads the model and serves it. Errors: as GgufFile::Open, Model::Load,
  // Engine::Load and ComputeTurn::Open.
  absl::Status Load();
  // What Load ends with: serves `parts`. Once.
  void Serve(WorkerModelParts parts);

  // Takes no new sequences, waits for the running ones at most the drain
  // time, ends the server.
  void Drain();

  // Where it listens, with the bound port.
  const std::string& address() const { return address_; }

 private:
  explicit WorkerServer(const WorkerOptions& options) : options_(options) {}

  absl::Status Start();
  void MonitorStalls();
  void UpdateReady() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const WorkerOptions options_;
  std::string address_;
  WorkerService service_;
  std::unique_ptr<grpc::Server> server_;

  absl::Mutex mutex_;
  bool loaded_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool stalled_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread monitor_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_WORKER_SERVER_H_
