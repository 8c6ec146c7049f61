// The Worker service of proto/tandem/v1/worker.proto: translates calls to the
// models' compute loops and the watch hub. Serves from the moment the server
// listens; until SetLoaded it answers that the model loads.
//
// Owned by the WorkerServer; any thread. The gRPC server is shut down before
// the service goes.

#ifndef TANDEM_SERVICES_WORKER_SERVER_WORKER_SERVICE_H_
#define TANDEM_SERVICES_WORKER_SERVER_WORKER_SERVICE_H_

#include <grpcpp/server_builder.h>

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/monotonic_clock.h"
#include "services/identity/caller_names.h"
#include "services/worker/models/model_set.h"
#include "services/worker/server/grammar_thread.h"
#include "services/worker/server/watch_hub.h"
#include "tandem/v1/worker.grpc.pb.h"

namespace tandem {

// Bytes of one GetTokenizerResponse at most.
inline constexpr size_t kTokenizerChunkBytes = 1 << 20;
// GetTokenizer calls at once: each has a thread until its peer has read all.
inline constexpr int kTokenizerCallsMax = 16;
// Threads of the calls that block, Watch and GetTokenizer, for the server that
// the service is added to; more calls get RESOURCE_EXHAUSTED.
inline constexpr int kBlockingCallsMax = kWatchersMax + 64;

// Decode, of which there are many streams, runs on callbacks; the other calls
// each have a thread. Every method asks first whether the caller may call: a
// test walks the methods of the descriptor.
class WorkerService final : public v1::WorkerService::WithCallbackMethod_Decode<
                                v1::WorkerService::Service> {
 public:
  // `on_step`, `bounds`: as ModelSet's.
  explicit WorkerService(std::function<void(const StepReport&)> on_step = {},
                         const ModelBounds& bounds = {});
  // Waits for the streams to be gone, which the server's shutdown has ended.
  ~WorkerService() override;

  // Whose calls it takes; before AddTo.
  void SetCallers(AllowedCallers callers) { callers_ = std::move(callers); }
  // Registers itself.
  void AddTo(grpc::ServerBuilder* builder);
  // What it serves; models may come and go at any time.
  ModelSet* models() { return &models_; }
  // The models to begin with are there, all of one role; once.
  void SetLoaded(v1::WorkerRole role);
  // For a worker of one model: adds it, and that is all.
  void SetModel(WorkerModelParts parts);

  // Takes no new sequences from now on.
  void StartDraining();
  // True when no stream that uses a model is left within `timeout`.
  bool WaitForStreams(absl::Duration timeout);
  // Ends the Watch streams; before the server's shutdown, which waits for all
  // calls.
  void EndWatches() { hub_.EndAll(); }
  // The load now; any thread.
  v1::WatchResponse Report() const;
  // See ComputeLoop; false while the model loads.
  bool IsStalled(absl::Duration limit) const {
    return models_.IsStalled(limit);
  }

  grpc::Status Describe(grpc::ServerContext* context,
                        const v1::DescribeRequest* request,
                        v1::DescribeResponse* response) override;
  grpc::Status GetTokenizer(
      grpc::ServerContext* context, const v1::GetTokenizerRequest* request,
      grpc::ServerWriter<v1::GetTokenizerResponse>* writer) override;
  grpc::Status Watch(grpc::ServerContext* context,
                     const v1::WatchRequest* request,
                     grpc::ServerWriter<v1::WatchResponse>* writer) override;
  grpc::ServerBidiReactor<v1::DecodeRequest, v1::DecodeResponse>* Decode(
      grpc::CallbackServerContext* context) override;

 private:
  // Decode and GetTokenizer, which use a model.
  void AddStream();
  void OnStreamGone();

  AllowedCallers callers_;
  std::atomic<bool> draining_{false};
  std::atomic<int> tokenizer_calls_{0};
  std::atomic<bool> loaded_{false};
  std::atomic<v1::WorkerRole> role_{v1::WORKER_ROLE_UNSPECIFIED};
  WatchHub hub_;
  ModelSet models_;
  GrammarThread grammars_;
  TimedWait stream_gone_;
  absl::Mutex mutex_;
  int streams_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SERVER_WORKER_SERVICE_H_
