// Worker streams over gRPC: Decode of the internal service. A callback only
// posts to the turn's loop; requests go through a bounded queue, one write in
// flight. Owned by the worker pool; Open and the streams belong to the turn's
// loop.

#ifndef TANDEM_SERVICES_COORDINATOR_WORKERS_GRPC_WORKER_LINK_H_
#define TANDEM_SERVICES_COORDINATOR_WORKERS_GRPC_WORKER_LINK_H_

#include <grpcpp/channel.h>

#include <memory>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "services/coordinator/turn/worker_link.h"
#include "services/coordinator/workers/worker_pulse.h"
#include "tandem/v1/worker.grpc.pb.h"

namespace tandem {

class GrpcWorkerLink : public WorkerLink {
 public:
  // `pulse` is the worker's.
  GrpcWorkerLink(std::shared_ptr<grpc::Channel> channel,
                 std::shared_ptr<WorkerPulse> pulse);

  std::unique_ptr<WorkerStream> Open(
      OpenRequest request, EventLoop* loop, WorkerStreamEvents* events,
      std::optional<MonotonicTime> deadline) override;

  std::shared_ptr<const WorkerCosts> costs() const override;
  // Any thread.
  void SetCosts(std::shared_ptr<const WorkerCosts> costs);

  WorkerLoad load() const override { return tracker_->load(); }
  // The worker's last report; streams count until their call has ended. Any
  // thread.
  LoadTracker& tracker() { return *tracker_; }

 private:
  // Shared with the streams' calls, which may end after the link is gone.
  const std::shared_ptr<v1::WorkerService::Stub> stub_;
  const std::shared_ptr<LoadTracker> tracker_;
  const std::shared_ptr<WorkerPulse> pulse_;
  mutable absl::Mutex mutex_;
  std::shared_ptr<const WorkerCosts> costs_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_WORKERS_GRPC_WORKER_LINK_H_
