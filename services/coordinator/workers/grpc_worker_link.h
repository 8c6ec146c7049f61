// Worker streams over gRPC: Decode of the internal service. A callback only
// posts to the turn's loop; requests go through a bounded queue, one write in
// flight. Owned by the worker pool; Open and the streams belong to the turn's
// loop.

#ifndef TANDEM_SERVICES_COORDINATOR_WORKERS_GRPC_WORKER_LINK_H_
#define TANDEM_SERVICES_COORDINATOR_WORKERS_GRPC_WORKER_LINK_H_

#include <grpcpp/channel.h>

#include <memory>
#include <mutex>
#include <optional>

#include "services/coordinator/turn/worker_link.h"
#include "tandem/v1/worker.grpc.pb.h"

namespace tandem {

// Requests of one stream that wait to be written. A turn has two under way at
// most (open, and one propose or verify), so a full queue is a bug of ours.
inline constexpr size_t kStreamRequestsMax = 4;

class GrpcWorkerLink : public WorkerLink {
 public:
  explicit GrpcWorkerLink(std::shared_ptr<grpc::Channel> channel);

  std::unique_ptr<WorkerStream> Open(
      OpenRequest request, EventLoop* loop, WorkerStreamEvents* events,
      std::optional<MonotonicTime> deadline) override;

  std::shared_ptr<const WorkerCosts> costs() const override;
  // Any thread.
  void SetCosts(std::shared_ptr<const WorkerCosts> costs);

  WorkerLoad load() const override { return tracker_->load(); }
  // What the worker told; streams count until their call has ended. Any thread.
  LoadTracker& tracker() { return *tracker_; }

 private:
  // Shared with the streams' calls, which may end after the link is gone.
  const std::shared_ptr<v1::WorkerService::Stub> stub_;
  const std::shared_ptr<LoadTracker> tracker_;
  mutable std::mutex mutex_;
  std::shared_ptr<const WorkerCosts> costs_;  // guarded by mutex_
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_WORKERS_GRPC_WORKER_LINK_H_
