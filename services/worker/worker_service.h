// The Worker service of proto/tandem/v1/worker.proto: translates calls to the
// compute loop and the watch hub. Serves from the moment the server listens;
// until SetModel it answers that the model loads.
//
// Owned by the WorkerServer; any thread. The gRPC server is shut down before
// the service goes.

#ifndef TANDEM_SERVICES_WORKER_WORKER_SERVICE_H_
#define TANDEM_SERVICES_WORKER_WORKER_SERVICE_H_

#include <atomic>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/engine.h"
#include "services/worker/compute_loop.h"
#include "services/worker/compute_turn.h"
#include "services/worker/watch_hub.h"
#include "services/worker/worker_model_info.h"
#include "tandem/v1/worker.grpc.pb.h"

namespace tandem {

struct WorkerModelParts {
  WorkerModelInfo info;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<ComputeTurn> turn;  // may be null
  int streams_max = 1024;
  int queue_max = 1024;
};

class WorkerService final : public v1::WorkerService::CallbackService {
 public:
  WorkerService();
  // Waits for the streams to be gone, which the server's shutdown has ended.
  ~WorkerService() override;

  // The model is loaded; once.
  void SetModel(WorkerModelParts parts);

  // Takes no new sequences from now on.
  void StartDraining();
  // True when no Decode stream is left within `timeout`.
  bool WaitForStreams(absl::Duration timeout);
  // Ends the Watch streams; before the server's shutdown, which waits for all
  // calls.
  void EndWatches() { hub_.EndAll(); }
  // See ComputeLoop; false while the model loads.
  bool IsStalled(absl::Duration limit) const;

  grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context,
                                     const v1::DescribeRequest* request,
                                     v1::DescribeResponse* response) override;
  grpc::ServerWriteReactor<v1::GetTokenizerResponse>* GetTokenizer(
      grpc::CallbackServerContext* context,
      const v1::GetTokenizerRequest* request) override;
  grpc::ServerWriteReactor<v1::WatchResponse>* Watch(
      grpc::CallbackServerContext* context,
      const v1::WatchRequest* request) override;
  grpc::ServerBidiReactor<v1::DecodeRequest, v1::DecodeResponse>* Decode(
      grpc::CallbackServerContext* context) override;

 private:
  struct Serving {
    WorkerModelInfo info;
    std::unique_ptr<ComputeLoop> loop;
  };

  v1::WatchResponse Report() const;
  void OnStreamGone();

  std::atomic<bool> draining_{false};
  // Null while the model loads; set once.
  std::atomic<const Serving*> serving_{nullptr};
  WatchHub hub_;
  absl::Mutex mutex_;
  int streams_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unique_ptr<const Serving> owned_serving_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_WORKER_SERVICE_H_
