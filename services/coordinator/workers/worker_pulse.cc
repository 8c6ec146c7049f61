#include "services/coordinator/workers/worker_pulse.h"

#include <algorithm>

#include "absl/synchronization/notification.h"

namespace tandem {
namespace {

using Microseconds = std::chrono::duration<double, std::micro>;

class DescribeProbe : public WorkerPulse::Probe {
 public:
  // `pulse` outlives the probe.
  DescribeProbe(v1::WorkerService::Stub* stub, WorkerPulse* pulse) {
    stub->async()->Describe(&context_, &request_, &response_,
                            [this, pulse](const grpc::Status& status) {
                              if (IsAnswer(status)) pulse->OnHeard();
                              over_.Notify();
                            });
  }
  // Waits until gRPC is done with the call: its last reference to the channel
  // must not go inside the callback.
  ~DescribeProbe() override {
    context_.TryCancel();
    over_.WaitForNotification();
  }

  bool is_over() const override { return over_.HasBeenNotified(); }

 private:
  // An error of the worker's is one too.
  static bool IsAnswer(const grpc::Status& status) {
    return status.error_code() != grpc::StatusCode::UNAVAILABLE &&
           status.error_code() != grpc::StatusCode::CANCELLED;
  }

  grpc::ClientContext context_;
  const v1::DescribeRequest request_;
  v1::DescribeResponse response_;
  absl::Notification over_;
};

}  // namespace

MonotonicDuration SilenceBound(double pass_us) {
  const Microseconds passes(
      std::min(kSilentPasses * pass_us, Microseconds(kSilenceMax).count()));
  return std::max<MonotonicDuration>(
      kSilenceMin, std::chrono::duration_cast<MonotonicDuration>(passes));
}

void WorkerPulse::AddCall(grpc::ClientContext* call) {
  const absl::MutexLock lock(&mutex_);
  calls_.insert(call);
}

void WorkerPulse::RemoveCall(grpc::ClientContext* call) {
  const absl::MutexLock lock(&mutex_);
  calls_.erase(call);
}

void WorkerPulse::CancelCalls() {
  const absl::MutexLock lock(&mutex_);
  for (grpc::ClientContext* call : calls_) call->TryCancel();
}

bool WorkerPulse::Look(MonotonicDuration elapsed) {
  if (probe_ != nullptr && probe_->is_over()) probe_.reset();
  if (heard_.exchange(false) || owed_.load() <= 0) {
    silent_ = {};
    return false;
  }
  // The silence began up to a tick before the first look that sees it, and this
  // one is up to a tick late.
  const MonotonicDuration bound = SilenceBound(slowest_pass_us_.load());
  silent_ += std::min<MonotonicDuration>(elapsed, 2 * kPulseTick);
  if (silent_ >= bound / 2 - kPulseTick && probe_ == nullptr) probe_ = Ask();
  if (silent_ < bound - 2 * kPulseTick) return false;
  silent_ = {};
  probe_.reset();
  hung_.store(true);
  return true;
}

std::unique_ptr<WorkerPulse::Probe> GrpcWorkerPulse::Ask() {
  return std::make_unique<DescribeProbe>(stub_.get(), this);
}

}  // namespace tandem
