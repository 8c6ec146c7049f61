#include "services/client/converse_call.h"

#include <optional>
#include <utility>

#include "engine/base/check.h"
#include "services/common/channel.h"

namespace tandem::client {

void SetUpCall(const std::string& api_key, absl::Time deadline,
               grpc::ClientContext* context) {
  if (deadline != absl::InfiniteFuture()) {
    context->set_deadline(absl::ToChronoTime(deadline));
  }
  if (!api_key.empty()) {
    context->AddMetadata(kAuthorizationKey, kBearerPrefix + api_key);
  }
}

std::shared_ptr<ConverseCall> ConverseCall::Start(ConverseSetup setup,
                                                  v1::ConverseRequest first) {
  TANDEM_CHECK(setup.hold.is_held());
  v1::GenerationService::Stub* const stub = setup.stub;
  std::shared_ptr<ConverseCall> call(new ConverseCall(std::move(setup)));
  call->self_ = call;
  stub->async()->Converse(&call->context_, call.get());
  // Reads and writes come from outside of reactions. The hold goes with the
  // read that fails, after which nothing is read or written.
  call->AddHold();
  call->Write(std::move(first));
  call->StartCall();
  return call;
}

ConverseCall::ConverseCall(ConverseSetup setup)
    : hold_(std::move(setup.hold)), listener_(std::move(setup.listener)) {
  SetUpCall(setup.api_key, setup.deadline, &context_);
}

void ConverseCall::Read() {
  {
    absl::MutexLock lock(&mutex_);
    if (draining_ || broken_) return;
    TANDEM_CHECK(!reading_);
    reading_ = true;
  }
  StartRead(&response_);
}

void ConverseCall::Cancel() {
  v1::ConverseRequest request;
  request.mutable_cancel();
  Write(std::move(request));
}

void ConverseCall::Finish() {
  {
    absl::MutexLock lock(&mutex_);
    half_close_asked_ = true;
    Pump();
  }
  Drain();
}

void ConverseCall::Abort() {
  context_.TryCancel();
  Drain();
}

void ConverseCall::Drain() {
  {
    absl::MutexLock lock(&mutex_);
    if (draining_) return;
    draining_ = true;
    if (reading_ || broken_) return;
    reading_ = true;
  }
  StartRead(&response_);
}

void ConverseCall::OnReadDone(bool ok) {
  std::optional<v1::ConverseResponse> event;
  {
    absl::MutexLock lock(&mutex_);
    reading_ = ok && draining_;
    broken_ = !ok;
    // Before another thread may read again.
    if (ok && !draining_) event = std::move(response_);
  }
  if (!ok) {
    RemoveHold();
  } else if (event.has_value()) {
    listener_->OnEvent(*std::move(event));
  } else {
    StartRead(&response_);
  }
}

void ConverseCall::OnWriteDone(bool ok) {
  absl::MutexLock lock(&mutex_);
  if (!std::exchange(any_write_done_, true)) first_was_sent_ = ok;
  is_writing_ = false;
  writes_.pop_front();
  Pump();  // after a failure the read fails too
}

void ConverseCall::OnDone(const grpc::Status& status) {
  const std::shared_ptr<ConverseCall> self = std::move(self_);
  StreamEnd end = {.status = status};
  {
    absl::MutexLock lock(&mutex_);
    end.first_was_sent = first_was_sent_;
  }
  listener_->OnEnd(end);
}

void ConverseCall::Write(v1::ConverseRequest request) {
  absl::MutexLock lock(&mutex_);
  writes_.push_back(std::move(request));
  Pump();
}

void ConverseCall::Pump() {
  if (is_writing_ || broken_) return;
  if (!writes_.empty()) {
    is_writing_ = true;
    StartWrite(&writes_.front());
  } else if (half_close_asked_ && !half_closed_) {
    half_closed_ = true;
    StartWritesDone();
  }
}

}  // namespace tandem::client
