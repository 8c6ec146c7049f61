#include "tools/load/generate_session.h"

#include <grpcpp/support/client_callback.h>

#include <atomic>
#include <utility>

#include "services/common/status_conversion.h"
#include "tools/load/turn_events.h"

namespace tandem::load {

// The reactor of one call. Deletes itself when both gRPC and the session are
// done with it.
class GenerateCall final
    : public grpc::ClientReadReactor<v1::GenerateResponse> {
 public:
  GenerateCall(v1::GenerationService::StubInterface* stub, v1::TurnRequest turn,
               TurnObserver* observer, StreamCount* streams)
      : observer_(observer), streams_(streams) {
    session_id_ = turn.session_id();
    *request_.mutable_turn() = std::move(turn);
    streams_->Increment();
    stub->async()->Generate(&context_, &request_, this);
    StartRead(&response_);
    StartCall();
  }

  // Set before the turn's end.
  const std::string& session_id() const { return session_id_; }
  void Cancel() { context_.TryCancel(); }

  void Unref() {
    if (references_.fetch_sub(1) > 1) return;
    // The channel may go once the count falls: the call goes first.
    StreamCount* const streams = streams_;
    delete this;
    streams->Decrement();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    // The turn is over with its call: the server may refuse the next one
    // before that.
    if (response_.has_ended()) {
      ended_ = std::move(*response_.mutable_ended());
      has_ended_ = true;
    } else {
      TakeEvent(response_, observer_, &session_id_);
    }
    StartRead(&response_);
  }

  void OnDone(const grpc::Status& status) override {
    TurnOutcome outcome;
    if (!status.ok()) {
      outcome.status = FromGrpcStatus(status);
    } else if (has_ended_) {
      outcome = OutcomeOf(ended_);
    } else {
      outcome.status = absl::InternalError("the call ended before the turn");
    }
    observer_->OnEnd(outcome);
    Unref();
  }

 private:
  ~GenerateCall() override = default;

  TurnObserver* const observer_;
  StreamCount* const streams_;
  std::atomic<int> references_{2};  // gRPC and the session
  std::string session_id_;
  grpc::ClientContext context_;
  v1::GenerateRequest request_;
  v1::GenerateResponse response_;
  v1::TurnEnded ended_;
  bool has_ended_ = false;
};

GenerateSession::GenerateSession(v1::GenerationService::StubInterface* stub,
                                 const v1::TurnRequest& common,
                                 StreamCount* streams)
    : stub_(stub), common_(common), streams_(streams) {}

GenerateSession::~GenerateSession() { ReleaseCall(); }

void GenerateSession::ReleaseCall() {
  if (call_ != nullptr) call_->Unref();
  call_ = nullptr;
}

void GenerateSession::Start(const LoadTurn& turn, TurnObserver* observer) {
  const std::string session_id = call_ == nullptr ? "" : call_->session_id();
  ReleaseCall();
  call_ = new GenerateCall(stub_, MakeTurnRequest(turn, common_, session_id),
                           observer, streams_);
}

void GenerateSession::Cancel() {
  if (call_ != nullptr) call_->Cancel();
}

}  // namespace tandem::load
