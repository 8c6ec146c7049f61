// The workers of the static address lists: connects to each in the background,
// learns what it is, watches its load, and tries again when it is gone. Owned
// by the server.
//
// Each worker has one thread of its own here that blocks on the worker's
// management calls (Describe, GetTokenizer, Watch); no turn runs on it. What
// it learns is published as an immutable WorkerInfo, which any thread may read.

#ifndef TANDEM_SERVICES_COORDINATOR_WORKER_POOL_H_
#define TANDEM_SERVICES_COORDINATOR_WORKER_POOL_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/security/credentials.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "engine/tokenizer/tokenizer.h"
#include "services/coordinator/event_loop.h"
#include "services/coordinator/tokenizer_cache.h"
#include "services/coordinator/worker_link.h"
#include "tandem/v1/worker.grpc.pb.h"

namespace tandem {

// Addresses of one list; each costs a thread and a channel.
inline constexpr size_t kWorkersMax = 256;

enum class WorkerRole { kDraft, kTarget };

// What is known of a worker now. Immutable.
struct WorkerInfo {
  std::string address;
  WorkerRole role = WorkerRole::kTarget;
  bool usable = false;  // described, watched, its tokenizer is here
  bool draining = false;
  // Of its model; as last known where it is gone.
  std::string model_id;
  std::string fingerprint;
  std::string vocabulary_fingerprint;
  std::string numerics;
  Position context_max = 0;
  int vocab_size = 0;
  std::shared_ptr<const Tokenizer> tokenizer;  // null: never seen
  // Load that the worker told last.
  int streams_open = 0;
  int requests_pending = 0;
  // For opening streams, and how many this process has open.
  std::shared_ptr<WorkerLink> link;
  int own_streams = 0;
};

struct WorkerPoolOptions {
  std::vector<std::string> targets;
  std::vector<std::string> drafts;
  // Between tries to reach a worker: doubled up to the maximum, with jitter.
  MonotonicDuration backoff_min = std::chrono::milliseconds(100);
  MonotonicDuration backoff_max = std::chrono::seconds(5);
};

class GrpcWorkerLink;

class WorkerPool {
 public:
  // `tokenizers` outlives the pool.
  WorkerPool(const WorkerPoolOptions& options,
             std::shared_ptr<grpc::ChannelCredentials> credentials,
             TokenizerCache* tokenizers);
  ~WorkerPool() { Stop(); }

  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Called, on one of the pool's threads, when a worker came or went. Before
  // Start.
  void SetChangeListener(absl::AnyInvocable<void()> listener) {
    on_change_ = std::move(listener);
  }
  // Once.
  void Start();
  // Ends the threads; no turn may be running.
  void Stop();

  // Copies, in the order of the lists; any thread.
  std::vector<WorkerInfo> Workers() const;

 private:
  // One address. The thread owns what is not guarded.
  struct Slot {
    std::string address;
    WorkerRole role = WorkerRole::kTarget;
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<v1::WorkerService::Stub> stub;
    std::shared_ptr<GrpcWorkerLink> link;
    std::thread thread;
    WorkerInfo info;                         // guarded by mutex_
    grpc::ClientContext* context = nullptr;  // call to cancel; by mutex_
  };

  void Manage(Slot* slot);
  // Until the worker is lost; OK never.
  absl::Status Serve(Slot* slot);
  absl::StatusOr<WorkerInfo> Describe(Slot* slot);
  absl::Status Watch(Slot* slot);
  void Publish(Slot* slot, const WorkerInfo& info);
  void MarkGone(Slot* slot);
  void ReportMismatches(Slot* slot);
  void ReportMismatch(Slot* slot, Slot* draft, const WorkerInfo& target);
  bool Stopping() const;
  // Sleeps; false when the pool stops.
  bool Wait(MonotonicDuration duration);

  class CallScope;

  const WorkerPoolOptions options_;
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  TokenizerCache* const tokenizers_;
  absl::AnyInvocable<void()> on_change_;

  mutable std::mutex mutex_;
  std::condition_variable stop_wake_;
  bool stopping_ = false;  // guarded by mutex_
  // Pairs of vocabulary fingerprints that were logged; guarded by mutex_.
  std::set<std::pair<std::string, std::string>> reported_;
  std::vector<std::unique_ptr<Slot>> slots_;  // fixed after construction
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_WORKER_POOL_H_
