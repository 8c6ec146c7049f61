// Load for a tandem coordinator.

#include <grpcpp/support/client_callback.h>

#include <atomic>
#include <deque>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/check.h"
#include "services/common/status_conversion.h"
#include "tandem/v1/generation.grpc.pb.h"
#include "tools/load/load_target.h"
#include "tools/tandem/base/output.h"

namespace tandem::load {
namespace {

// The request of `turn`; `session_id` empty: a new session.
v1::ConverseRequest RequestOf(const LoadTurn& turn,
                              const v1::TurnRequest& common,
                              const std::string& session_id) {
  v1::ConverseRequest converse;
  v1::TurnRequest& request = *converse.mutable_start();
  request = common;
  request.set_session_id(session_id);
  request.mutable_tokens()->mutable_ids()->Add(turn.prompt.begin(),
                                               turn.prompt.end());
  v1::GenerationOptions* options = request.mutable_options();
  options->set_max_tokens(static_cast<int32_t>(turn.output_tokens));
  options->set_seed(turn.seed);
  if (turn.draft_length.has_value()) {
    options->set_draft_length(*turn.draft_length);
  }
  return converse;
}

TurnOutcome OutcomeOf(const v1::TurnEnded& ended) {
  return {.status = absl::OkStatus(),
          .finish_reason = cli::FinishReasonName(ended.finish_reason()),
          .usage = ended.usage(),
          .speculation = ended.speculation()};
}

// How many streams there are; they end on threads of gRPC. Waits for them.
class StreamCount {
 public:
  ~StreamCount() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](int* streams) { return *streams == 0; }, &streams_));
  }
  void Add(int count) {
    absl::MutexLock lock(&mutex_);
    streams_ += count;
  }

 private:
  absl::Mutex mutex_;
  int streams_ ABSL_GUARDED_BY(mutex_) = 0;
};

// The reactor. Deletes itself when both gRPC and the session are done with it.
// A hold keeps gRPC from finishing while the session may still write: the hold
// goes with the read that fails, after which nothing is written.
class ConverseStream final
    : public grpc::ClientBidiReactor<v1::ConverseRequest,
                                     v1::ConverseResponse> {
 public:
  // All three outlive the stream, which may outlive its session.
  ConverseStream(v1::GenerationService::Stub* stub,
                 const v1::TurnRequest& common, StreamCount* streams)
      : common_(common), streams_(streams) {
    streams_->Add(1);
    stub->async()->Converse(&context_, this);
    AddHold();
    StartRead(&response_);
    StartCall();
  }

  void StartTurn(const LoadTurn& turn, TurnObserver* observer) {
    absl::Status broken;
    {
      absl::MutexLock lock(&mutex_);
      TANDEM_CHECK(observer_ == nullptr);
      broken = status_;
      if (broken.ok()) {
        observer_ = observer;
        Write(RequestOf(turn, common_, session_id_));
      }
    }
    if (!broken.ok()) observer->OnEnd({.status = broken});
  }

  void CancelTurn() {
    v1::ConverseRequest request;
    request.mutable_cancel();
    absl::MutexLock lock(&mutex_);
    Write(std::move(request));
  }

  void Abort() { context_.TryCancel(); }

  void Release() {
    {
      absl::MutexLock lock(&mutex_);
      released_ = true;
      Pump();
    }
    Unref();
  }

  void OnReadDone(bool ok) override {
    TurnObserver* observer = nullptr;
    {
      absl::MutexLock lock(&mutex_);
      broken_ = !ok;
      observer = observer_;
      if (ok && response_.has_ended()) observer_ = nullptr;
      if (ok && response_.has_started()) {
        session_id_ = response_.started().session_id();
      }
    }
    if (!ok) {
      RemoveHold();
      return;
    }
    if (observer != nullptr && response_.tokens().token_ids_size() > 0) {
      observer->OnTokens(response_.tokens().token_ids_size());
    }
    if (observer != nullptr && response_.has_ended()) {
      observer->OnEnd(OutcomeOf(response_.ended()));
    }
    StartRead(&response_);
  }

  void OnWriteDone(bool /*ok*/) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    writes_.pop_front();
    Pump();  // after a failure the read fails too
  }

  void OnDone(const grpc::Status& status) override {
    TurnObserver* observer = nullptr;
    absl::Status error = FromGrpcStatus(status);
    if (error.ok()) {
      error = absl::InternalError("the stream ended before the turn");
    }
    {
      absl::MutexLock lock(&mutex_);
      status_ = error;
      observer = std::exchange(observer_, nullptr);
    }
    if (observer != nullptr) {
      observer->OnEnd({.status = error});
    }
    Unref();
  }

 private:
  ~ConverseStream() override = default;

  void Write(v1::ConverseRequest request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    writes_.push_back(std::move(request));
    Pump();
  }

  // One write in flight; the half-close is the last.
  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || broken_) return;
    if (!writes_.empty()) {
      writing_ = true;
      StartWrite(&writes_.front());
    } else if (released_ && !half_closed_) {
      half_closed_ = true;
      StartWritesDone();
    }
  }

  void Unref() {
    if (references_.fetch_sub(1) > 1) return;
    // The channel may go once the count falls: the call goes first.
    StreamCount* const streams = streams_;
    delete this;
    streams->Add(-1);
  }

  const v1::TurnRequest& common_;
  StreamCount* const streams_;
  std::atomic<int> references_{2};  // gRPC and the session
  grpc::ClientContext context_;
  v1::ConverseResponse response_;

  absl::Mutex mutex_;
  std::deque<v1::ConverseRequest> writes_ ABSL_GUARDED_BY(mutex_);
  std::string session_id_ ABSL_GUARDED_BY(mutex_);
  TurnObserver* observer_ ABSL_GUARDED_BY(mutex_) = nullptr;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);  // not OK: it has ended
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  bool released_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
};

// Half-closes its stream at its end; the stream may outlive it.
class ConverseSession final : public LoadSession {
 public:
  explicit ConverseSession(ConverseStream* stream) : stream_(stream) {}
  ~ConverseSession() override { stream_->Release(); }

  void Start(const LoadTurn& turn, TurnObserver* observer) override {
    stream_->StartTurn(turn, observer);
  }
  void Cancel() override { stream_->CancelTurn(); }
  void Abort() override { stream_->Abort(); }

 private:
  ConverseStream* const stream_;
};

class TandemTarget final : public LoadTarget {
 public:
  TandemTarget(const std::vector<std::shared_ptr<grpc::Channel>>& channels,
               const v1::TurnRequest& common)
      : common_(common) {
    TANDEM_CHECK(!channels.empty());
    for (const auto& channel : channels) {
      stubs_.push_back(v1::GenerationService::NewStub(channel));
    }
  }

  std::unique_ptr<LoadSession> NewSession() override {
    return std::make_unique<ConverseSession>(new ConverseStream(
        stubs_[next_stub_++ % stubs_.size()].get(), common_, &streams_));
  }

 private:
  const v1::TurnRequest common_;
  std::vector<std::unique_ptr<v1::GenerationService::Stub>> stubs_;
  size_t next_stub_ = 0;
  StreamCount streams_;  // last: waits before the stubs go
};

}  // namespace

std::unique_ptr<LoadTarget> MakeTandemTarget(
    const std::vector<std::shared_ptr<grpc::Channel>>& channels,
    const v1::TurnRequest& common) {
  return std::make_unique<TandemTarget>(channels, common);
}

}  // namespace tandem::load
