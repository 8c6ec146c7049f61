// Whether a worker process lives: what it owes, when it was heard last, and the
// calls that end when it is found hung. A process that is stopped, or behind a
// network that is cut without a word, keeps its connection for long.
//
// A worker is heard by any answer on any stream and by any report. One that is
// asked for something and is not heard for half of the bound is asked to
// describe itself, which a worker does while it computes, however long a prompt
// or a queue is; one that is silent for the other half too hangs.
//
// One for each worker process, shared by the pool, the worker's links and their
// calls. Any thread, but for Look.

#ifndef TANDEM_SERVICES_COORDINATOR_WORKERS_WORKER_PULSE_H_
#define TANDEM_SERVICES_COORDINATOR_WORKERS_WORKER_PULSE_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <set>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "services/coordinator/turn/event_loop.h"
#include "tandem/v1/worker.grpc.pb.h"

namespace tandem {

// Between two looks at a worker.
inline constexpr std::chrono::milliseconds kPulseTick(100);
// A worker is found hung within this time, or within kSilentPasses of its
// slowest passes where that is more: where passes take long, all does. A worker
// with four turns, on two cores at load 8, said what it is within 0.4 ms, and
// 40 ms at most of 1,700 times.
inline constexpr std::chrono::seconds kSilenceMin(2);
inline constexpr int kSilentPasses = 5;
// Whatever a worker reports.
inline constexpr std::chrono::seconds kSilenceMax(60);

// How long a worker may be silent whose slowest pass takes `pass_us`
// microseconds.
MonotonicDuration SilenceBound(double pass_us);

class WorkerPulse {
 public:
  // A question to the worker whether it lives.
  class Probe {
   public:
    // Ends it.
    virtual ~Probe() = default;
    // It was answered, or can not be.
    virtual bool is_over() const = 0;
  };

  WorkerPulse() = default;
  virtual ~WorkerPulse() = default;

  WorkerPulse(const WorkerPulse&) = delete;
  WorkerPulse& operator=(const WorkerPulse&) = delete;

  // A request was sent that the worker answers.
  void OnAsked() { ++owed_; }
  // So many requests were answered, or nobody waits for their answers any more.
  void OnSettled(int requests) { owed_ -= requests; }
  // Anything came from the worker.
  void OnHeard() { heard_.store(true); }
  // The worker's slowest pass, as it reports.
  void SetSlowestPass(double us) { slowest_pass_us_.store(us); }

  // Calls that CancelCalls ends, from before they start until they are over.
  void AddCall(grpc::ClientContext* call);
  void RemoveCall(grpc::ClientContext* call);
  void CancelCalls();

  // Every kPulseTick, by one thread, `elapsed` after the last time: true where
  // the worker hangs. Time in which this process did not run does not count as
  // silence.
  bool Look(MonotonicDuration elapsed);
  // True once after each Look that was true.
  bool TakeHung() { return hung_.exchange(false); }

 protected:
  // Asks the worker.
  virtual std::unique_ptr<Probe> Ask() = 0;

 private:
  std::atomic<int> owed_{0};
  std::atomic<bool> heard_{false};
  std::atomic<double> slowest_pass_us_{0};
  std::atomic<bool> hung_{false};

  absl::Mutex mutex_;
  std::set<grpc::ClientContext*> calls_ ABSL_GUARDED_BY(mutex_);

  // Look's.
  MonotonicDuration silent_{};
  std::unique_ptr<Probe> probe_;
};

// Asks by a Describe call.
class GrpcWorkerPulse : public WorkerPulse {
 public:
  explicit GrpcWorkerPulse(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(v1::WorkerService::NewStub(channel)) {}

 protected:
  std::unique_ptr<Probe> Ask() override;

 private:
  const std::unique_ptr<v1::WorkerService::Stub> stub_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_WORKERS_WORKER_PULSE_H_
