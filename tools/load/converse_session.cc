#include "tools/load/converse_session.h"

#include <grpcpp/support/client_callback.h>

#include <atomic>
#include <deque>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/check.h"
#include "services/common/status_conversion.h"
#include "tools/load/turn_events.h"

namespace tandem::load {

// The reactor. Deletes itself when both gRPC and the session are done with it.
// A hold keeps gRPC from finishing while the session may still write: it goes
// with the read that fails, after which nothing is written.
class ConverseStream final
    : public grpc::ClientBidiReactor<v1::ConverseRequest,
                                     v1::ConverseResponse> {
 public:
  ConverseStream(v1::GenerationService::StubInterface* stub,
                 const v1::TurnRequest& common, StreamCount* streams)
      : common_(common), streams_(streams) {
    streams_->Increment();
    stub->async()->Converse(&context_, this);
    AddHold();
    StartRead(&response_);
    StartCall();
  }

  void StartTurn(const LoadTurn& turn, TurnObserver* observer) {
    bool is_broken = false;
    absl::Status status;
    {
      absl::MutexLock lock(&mutex_);
      TANDEM_CHECK(observer_ == nullptr);
      is_broken = done_;
      status = status_;
      if (!is_broken) {
        observer_ = observer;
        v1::ConverseRequest request;
        *request.mutable_start() = MakeTurnRequest(turn, common_, session_id_);
        writes_.push_back(std::move(request));
        Pump();
      }
    }
    if (is_broken) observer->OnEnd({.status = status, .finish_reason = {}});
  }

  void CancelTurn() {
    absl::MutexLock lock(&mutex_);
    v1::ConverseRequest request;
    request.mutable_cancel();
    writes_.push_back(std::move(request));
    Pump();
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
    if (!ok) {
      {
        absl::MutexLock lock(&mutex_);
        broken_ = true;
      }
      RemoveHold();
      return;
    }
    // Only this thread changes them while a turn is under way.
    TurnObserver* observer = nullptr;
    std::string session_id;
    {
      absl::MutexLock lock(&mutex_);
      observer = observer_;
      session_id = session_id_;
      if (response_.has_ended()) observer_ = nullptr;
      if (response_.has_started()) {
        session_id_ = response_.started().session_id();
      }
    }
    if (observer != nullptr) TakeEvent(response_, observer, &session_id);
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
      done_ = true;
      status_ = error;
      observer = std::exchange(observer_, nullptr);
    }
    if (observer != nullptr) {
      observer->OnEnd({.status = error, .finish_reason = {}});
    }
    Unref();
  }

 private:
  ~ConverseStream() override = default;

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
    streams->Decrement();
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
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool broken_ ABSL_GUARDED_BY(mutex_) = false;
  bool released_ ABSL_GUARDED_BY(mutex_) = false;
  bool half_closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
};

ConverseSession::ConverseSession(v1::GenerationService::StubInterface* stub,
                                 const v1::TurnRequest& common,
                                 StreamCount* streams)
    : stream_(new ConverseStream(stub, common, streams)) {}

ConverseSession::~ConverseSession() { stream_->Release(); }

void ConverseSession::Start(const LoadTurn& turn, TurnObserver* observer) {
  stream_->StartTurn(turn, observer);
}

void ConverseSession::Cancel() { stream_->CancelTurn(); }

void ConverseSession::Abort() { stream_->Abort(); }

}  // namespace tandem::load
