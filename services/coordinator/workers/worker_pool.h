// The workers of the address lists: connects to each in the background, asks
// what it is, watches its load, and tries again when it is gone. DNS names in
// the lists are looked up periodically; workers come and go with their
// addresses. Owned by the server.
//
// Each worker has one thread here that blocks on the worker's management calls
// (Describe, GetTokenizer, Watch); one more thread looks up names, and one
// looks for workers that hang: their streams end then, as those of one that is
// killed, and a hung worker gets no new ones until it answers. No turn runs on
// these threads. They publish what the workers are as an immutable WorkerTable,
// and loads and costs at the workers' links; any thread may read both.

#ifndef TANDEM_SERVICES_COORDINATOR_WORKERS_WORKER_POOL_H_
#define TANDEM_SERVICES_COORDINATOR_WORKERS_WORKER_POOL_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/security/credentials.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/monotonic_clock.h"
#include "engine/base/status.h"
#include "services/common/credentials.h"
#include "services/coordinator/turn/event_loop.h"
#include "services/coordinator/turn/worker_link.h"
#include "services/coordinator/workers/address_book.h"
#include "services/coordinator/workers/resolver.h"
#include "services/coordinator/workers/tokenizer_cache.h"
#include "services/coordinator/workers/worker_condition.h"
#include "services/coordinator/workers/worker_pulse.h"
#include "services/coordinator/workers/worker_report.h"
#include "services/coordinator/workers/worker_table.h"
#include "tandem/v1/worker.grpc.pb.h"

namespace tandem {

inline constexpr std::chrono::milliseconds kResolveIntervalMin(100);

struct WorkerPoolOptions {
  // Addresses, and DNS names as dns:///NAME:PORT; AddressBook::Parse takes
  // them.
  std::vector<std::string> targets;
  std::vector<std::string> drafts;
  // Between tries to reach a worker: doubled up to the maximum, with jitter.
  MonotonicDuration backoff_min = std::chrono::milliseconds(100);
  MonotonicDuration backoff_max = std::chrono::seconds(5);
  // Between looking up the names, with jitter.
  MonotonicDuration resolve_interval = std::chrono::seconds(5);
  // What the credentials were made of, to say what a handshake failed for.
  ChannelTlsFiles tls_files = {};
  // Outlives the pool; null: the system's.
  Resolver* resolver = nullptr;
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
  // Called likewise with the address of a worker whose process was lost, and
  // is connected again.
  void SetAliveListener(std::function<void(const std::string&)> listener) {
    on_alive_ = std::move(listener);
  }
  // Once.
  void Start();
  // Ends the threads, after a lookup under way; no turn may be running.
  void Stop();

  // Targets first, in the order of the lists; any thread.
  std::shared_ptr<const WorkerTable> Workers() const;
  // The same workers and what keeps each from serving, and those that have left
  // the lists; any thread. Takes about 1 ms for 1,000 workers, for which the
  // event loop may wait.
  std::vector<WorkerCondition> Conditions() const;
  // Streams of this process at all workers, those that left the lists too.
  int own_streams() const;
  // Workers that have left the lists and still have streams of this process.
  int leaving() const;

 private:
  // One address. Its thread owns what is not guarded.
  struct Slot {
    NamedAddress address;
    WorkerRole role = WorkerRole::kTarget;
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<v1::WorkerService::Stub> stub;
    std::thread thread;
    int64_t models_generation = 0;  // of the last Describe
    int64_t lost_generation = 0;    // of the connection before
    // With the management calls under way, to cancel.
    std::shared_ptr<WorkerPulse> pulse;
    // Streams of this process at the worker.
    int own_streams() const;

    // Guarded by the pool's mutex_, with own_streams():
    std::vector<WorkerInfo> models;  // one without a name before Describe
    // By model: loads and costs differ from model to model of one worker.
    std::map<std::string, std::shared_ptr<GrpcWorkerLink>> links;
    WorkerProblem problem;  // the last one, where the models are not usable
    bool leaving = false;   // not in the lists any more: gets no new streams
    bool ending = false;    // the thread is to end
    bool ended = false;     // the thread has ended
  };
  // One role's addresses and the workers there.
  struct Group {
    WorkerRole role = WorkerRole::kTarget;
    AddressBook book;                          // the resolving thread's
    std::vector<std::shared_ptr<Slot>> slots;  // guarded by the pool's mutex_
  };

  std::shared_ptr<Slot> MakeSlot(const NamedAddress& address, WorkerRole role);
  void StartThread(const std::shared_ptr<Slot>& slot);

  // The resolving thread.
  void Resolve();
  void ResolveGroup(Group* group);
  // Makes slots what the book says: new ones start, others leave.
  void Reconcile(Group* group);
  // Ends slots that have left and have no streams; forgets those that ended.
  void EndLeaving(Group* group);

  // The watching thread.
  void WatchPulses();

  // A slot's thread.
  void Manage(Slot* slot);
  absl::Status DescribeAndPublish(Slot* slot);
  absl::StatusOr<std::vector<WorkerInfo>> Describe(Slot* slot);
  absl::StatusOr<WorkerInfo> DescribeModel(Slot* slot,
                                           const v1::WorkerModel& model);
  // Until the worker is lost; OK never.
  absl::Status Watch(Slot* slot);
  absl::Status TakeReport(Slot* slot, const v1::WatchResponse& report);
  void MarkGone(Slot* slot);
  // OK where the one may draft for the other.
  absl::Status CheckPair(const WorkerInfo& draft,
                         const WorkerInfo& target) const;
  // Checks the pairs that `models`, which are not published yet, make with the
  // others, so that UpdateTable finds them in the cache. Logs each draft model
  // whose vocabulary fits no target's; the router does not use it.
  void CheckPairs(const std::vector<WorkerInfo>& models);
  // Sleeps for `duration`, or until the pool stops or `slot` (null: none)
  // ends, which gives false.
  bool Wait(MonotonicDuration duration, const Slot* slot);

  // Publishes a new table.
  void UpdateTable() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Changed();

  class CallScope;

  const WorkerPoolOptions options_;
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  TokenizerCache* const tokenizers_;
  SystemResolver system_resolver_;
  Resolver* const resolver_;
  absl::AnyInvocable<void()> on_change_;
  std::function<void(const std::string&)> on_alive_;

  TimedWait ended_;  // the pool, or a slot
  mutable absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // Pairs of vocabulary fingerprints that were logged.
  std::set<std::pair<std::string, std::string>> reported_
      ABSL_GUARDED_BY(mutex_);
  std::vector<Group> groups_;  // targets, drafts; fixed after construction
  // Models that targets have had.
  std::set<std::string> models_seen_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<const WorkerTable> table_ ABSL_GUARDED_BY(mutex_);
  std::thread resolving_;
  std::thread watching_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_WORKERS_WORKER_POOL_H_
