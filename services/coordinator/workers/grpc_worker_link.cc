#include "services/coordinator/workers/grpc_worker_link.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <utility>

#include "engine/base/check.h"
#include "services/common/options_conversion.h"
#include "services/common/status_conversion.h"
#include "services/common/worker_protocol.h"
#include "services/coordinator/workers/worker_report.h"

namespace tandem {
namespace {

v1::DecodeRequest ToProto(const OpenRequest& open) {
  v1::DecodeRequest request;
  v1::OpenSequence& sequence = *request.mutable_open();
  sequence.set_session_id(open.session_id);
  sequence.set_turn(open.turn);
  sequence.set_model_id(open.model_id);
  sequence.set_fingerprint(open.fingerprint);
  sequence.mutable_tokens()->Add(open.tokens.begin(), open.tokens.end());
  sequence.set_generated_from(open.generated_from);
  sequence.set_tokens_max(open.tokens_max);
  *sequence.mutable_options() = ToProto(open.options);
  // What a worker takes.
  sequence.set_tenant(open.tenant.substr(0, kTenantBytesMax));
  sequence.set_tenant_kv_share(open.tenant_kv_share);
  sequence.set_queue_timeout_ms(static_cast<int32_t>(std::clamp<int64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(open.queue_timeout)
          .count(),
      0, kQueueTimeoutMsMax)));
  sequence.set_score_from(open.score_from);
  sequence.set_score_alternatives(open.score_alternatives);
  return request;
}

// One Decode call. It lives until gRPC is done with it, which is the last event
// that the loop gets; the loop destroys it then (with its reference to the
// channel, which must not go inside a callback).
class DecodeCall
    : public grpc::ClientBidiReactor<v1::DecodeRequest, v1::DecodeResponse> {
 public:
  DecodeCall(std::shared_ptr<v1::WorkerService::Stub> stub,
             std::shared_ptr<LoadTracker> tracker,
             std::shared_ptr<WorkerPulse> pulse, EventLoop* loop,
             WorkerStreamEvents* events)
      : stub_(std::move(stub)),
        tracker_(std::move(tracker)),
        pulse_(std::move(pulse)),
        loop_(loop),
        events_(events) {}

  // All of these on the loop.
  void Start(std::shared_ptr<DecodeCall> self, const OpenRequest& open,
             std::optional<MonotonicTime> deadline) {
    self_ = std::move(self);
    tracker_->OnOpened(open.tokens_max);
    pulse_->AddCall(&context_);
    if (deadline.has_value()) {
      context_.set_deadline(
          std::chrono::system_clock::now() +
          std::chrono::duration_cast<std::chrono::system_clock::duration>(
              *deadline - loop_->Now()));
    }
    if (open.trace.has_value()) {
      context_.AddMetadata(kTraceparentKey, open.trace->parent);
      if (!open.trace->state.empty()) {
        context_.AddMetadata(kTracestateKey, open.trace->state);
      }
    }
    stub_->async()->Decode(&context_, this);
    AddHold();  // the loop starts reads and writes outside of reactions
    StartRead(&response_);
    Write(ToProto(open));
    if (open.score_from > 0) {
      // The worker owes the scores too.
      scores_left_ = static_cast<int64_t>(open.tokens.size()) - open.score_from;
      Expect();
    }
    StartCall();
  }

  void Write(v1::DecodeRequest request) {
    if (ended_) return;
    TANDEM_CHECK(requests_.size() < kStreamRequestsMax);
    Expect();
    requests_.push_back(std::move(request));
    WriteNext();
  }

  // The stream is gone: ends the call without further events.
  void Detach() {
    events_ = nullptr;
    context_.TryCancel();
    End();
  }

  void OnReadDone(bool ok) override {
    loop_->Post([this, ok] { OnRead(ok); });
  }
  void OnWriteDone(bool ok) override {
    loop_->Post([this, ok] {
      writing_ = false;
      requests_.pop_front();
      if (!ok) return;
      has_written_ = true;
      WriteNext();
    });
  }
  void OnDone(const grpc::Status& status) override {
    loop_->Post([this, status] {
      tracker_->OnClosed();
      pulse_->RemoveCall(&context_);
      const std::shared_ptr<DecodeCall> keep = std::move(self_);
      if (events_ != nullptr) events_->OnClosed(ClosedWith(status));
    });
  }

 private:
  void Expect() {
    ++unanswered_;
    pulse_->OnAsked();
  }

  // Scores come in several messages.
  bool IsLastOfAnswer() {
    if (!response_.has_scored()) return true;
    if (scores_left_ <= 0) return false;
    scores_left_ -= response_.scored().logprobs_size();
    return scores_left_ <= 0;
  }

  void WriteNext() {
    if (ended_ || writing_ || requests_.empty()) return;
    writing_ = true;
    StartWrite(&requests_.front());
  }

  // The next read starts after the events of this one, so a worker can not fill
  // the loop's queue.
  void OnRead(bool ok) {
    if (!ok) return End();
    pulse_->OnHeard();
    if (unanswered_ > 0 && IsLastOfAnswer()) Settle(1);
    if (events_ != nullptr) DeliverResponse(response_, events_);
    if (!ended_) StartRead(&response_);
  }

  // A worker that was not reached has not died of the request.
  absl::Status ClosedWith(const grpc::Status& grpc_status) const {
    const absl::Status status = FromGrpcStatus(grpc_status);
    return has_written_ || !absl::IsUnavailable(status) ||
                   GetErrorDetail(status).has_value()
               ? status
               : NoWorker(status.message());
  }

  // No more reads and writes; gRPC may finish.
  void End() {
    if (ended_) return;
    ended_ = true;
    Settle(unanswered_);
    RemoveHold();
  }

  void Settle(int requests) {
    unanswered_ -= requests;
    pulse_->OnSettled(requests);
  }

  const std::shared_ptr<v1::WorkerService::Stub> stub_;
  const std::shared_ptr<LoadTracker> tracker_;
  const std::shared_ptr<WorkerPulse> pulse_;
  EventLoop* const loop_;
  grpc::ClientContext context_;
  v1::DecodeResponse response_;  // of the read under way

  // Loop only.
  WorkerStreamEvents* events_;
  std::shared_ptr<DecodeCall> self_;  // until OnDone
  std::deque<v1::DecodeRequest> requests_;
  int unanswered_ = 0;  // requests, those that are not written yet too
  int64_t scores_left_ = 0;
  bool writing_ = false;
  bool has_written_ = false;  // a request is on its way
  bool ended_ = false;
};

class GrpcWorkerStream : public WorkerStream {
 public:
  explicit GrpcWorkerStream(std::shared_ptr<DecodeCall> call)
      : call_(std::move(call)) {}
  ~GrpcWorkerStream() override { call_->Detach(); }

  void Propose(ProposeAction propose) override {
    v1::DecodeRequest request;
    v1::ProposeTokens& proto = *request.mutable_propose();
    proto.set_position(propose.position);
    proto.mutable_tokens()->Add(propose.tokens.begin(), propose.tokens.end());
    proto.set_draft_length(propose.draft_length);
    call_->Write(std::move(request));
  }

  void Verify(VerifyAction verify) override {
    v1::DecodeRequest request;
    v1::VerifyTokens& proto = *request.mutable_verify();
    proto.set_position(verify.position);
    proto.mutable_tokens()->Add(verify.tokens.begin(), verify.tokens.end());
    proto.mutable_draft()->Add(verify.draft.begin(), verify.draft.end());
    call_->Write(std::move(request));
  }

 private:
  const std::shared_ptr<DecodeCall> call_;
};

}  // namespace

GrpcWorkerLink::GrpcWorkerLink(std::shared_ptr<grpc::Channel> channel,
                               std::shared_ptr<WorkerPulse> pulse)
    : stub_(v1::WorkerService::NewStub(channel)),
      tracker_(std::make_shared<LoadTracker>()),
      pulse_(std::move(pulse)) {}

std::shared_ptr<const WorkerCosts> GrpcWorkerLink::costs() const {
  absl::MutexLock lock(&mutex_);
  return costs_;
}

void GrpcWorkerLink::SetCosts(std::shared_ptr<const WorkerCosts> costs) {
  absl::MutexLock lock(&mutex_);
  costs_ = std::move(costs);
}

std::unique_ptr<WorkerStream> GrpcWorkerLink::Open(
    OpenRequest request, EventLoop* loop, WorkerStreamEvents* events,
    std::optional<MonotonicTime> deadline) {
  auto call =
      std::make_shared<DecodeCall>(stub_, tracker_, pulse_, loop, events);
  call->Start(call, request, deadline);
  return std::make_unique<GrpcWorkerStream>(std::move(call));
}

}  // namespace tandem
