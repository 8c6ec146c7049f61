#include "services/client/resuming_turn.h"

#include <grpc/support/time.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/check.h"
#include "engine/base/monotonic_clock.h"
#include "engine/base/status.h"
#include "services/common/status_conversion.h"

namespace tandem::client {
namespace {

// Starts of one turn that may have run: a second one may leave a session that
// nobody knows, more of them would be a flood.
constexpr int kStartsSentMax = 2;

gpr_timespec After(absl::Duration wait) {
  return gpr_time_add(
      gpr_now(GPR_CLOCK_MONOTONIC),
      gpr_time_from_millis(absl::ToInt64Milliseconds(wait), GPR_TIMESPAN));
}

// What a Next gets once the turn is over.
NextEvent AfterEnd(const absl::Status& status) {
  if (status.ok()) return std::optional<Event>();
  return status;
}

absl::Duration RetryDelay(const absl::Status& error) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(error);
  if (!detail.has_value()) return absl::ZeroDuration();
  return absl::Milliseconds(detail->retry_delay_ms.value_or(0));
}

}  // namespace

std::shared_ptr<ResumingTurn> ResumingTurn::Start(TurnSetup setup,
                                                  v1::TurnRequest request) {
  std::shared_ptr<ResumingTurn> turn(
      new ResumingTurn(std::move(setup), ReceivedTurn(), std::move(request)));
  turn->setup_.live->Add(turn);
  turn->Open();
  return turn;
}

std::shared_ptr<ResumingTurn> ResumingTurn::Resume(TurnSetup setup,
                                                   const TurnPosition& from) {
  std::shared_ptr<ResumingTurn> turn(new ResumingTurn(
      std::move(setup), ReceivedTurn(from), v1::TurnRequest()));
  turn->setup_.live->Add(turn);
  turn->Open();
  return turn;
}

std::shared_ptr<ResumingTurn> ResumingTurn::Failed(TurnSetup setup,
                                                   absl::Status error) {
  std::shared_ptr<ResumingTurn> turn(
      new ResumingTurn(std::move(setup), ReceivedTurn(), v1::TurnRequest()));
  absl::MutexLock lock(&turn->mutex_);
  turn->over_ = std::move(error);
  return turn;
}

ResumingTurn::ResumingTurn(TurnSetup setup, ReceivedTurn received,
                           v1::TurnRequest request)
    : setup_(std::move(setup)),
      received_(std::move(received)),
      request_(std::move(request)),
      has_session_(!request_.session_id().empty()),
      schedule_(setup_.resume_for) {}

ResumingTurn::~ResumingTurn() { setup_.live->Remove(this); }

void ResumingTurn::Next(std::function<void(NextEvent)> done) {
  std::optional<absl::Status> over;
  std::shared_ptr<ConverseCall> call;
  {
    absl::MutexLock lock(&mutex_);
    TANDEM_CHECK(!next_);  // one at a time
    over = over_;
    if (!over.has_value()) {
      next_ = std::move(done);
      call = call_;
    }
  }
  if (over.has_value()) return done(AfterEnd(*over));
  // Without a call Open is under way, which reads for who waits.
  if (call != nullptr) call->Read();
}

void ResumingTurn::Cancel() {
  std::shared_ptr<ConverseCall> call;
  {
    absl::MutexLock lock(&mutex_);
    if (over_.has_value()) return;
    cancel_asked_ = true;
    call = call_;
  }
  if (call != nullptr) call->Cancel();
}

void ResumingTurn::Leave() {
  const absl::Status left =
      absl::CancelledError("the turn was left; it can be resumed");
  std::function<void(NextEvent)> done;
  std::shared_ptr<ConverseCall> call;
  std::unique_ptr<grpc::Alarm> alarm;
  {
    absl::MutexLock lock(&mutex_);
    if (over_.has_value()) return;
    done = End(left);
    call = call_;
    alarm = std::move(alarm_);
  }
  if (call != nullptr) call->Abort();
  if (done) done(left);
}

void ResumingTurn::Close() {
  Leave();
  std::shared_ptr<ConverseCall> call;
  {
    absl::MutexLock lock(&mutex_);
    call = call_;
  }
  // It may wait for the end of a stream whose turn is over.
  if (call != nullptr) call->Abort();
}

TurnPosition ResumingTurn::position() const {
  absl::MutexLock lock(&mutex_);
  return received_.position();
}

std::optional<v1::TurnStarted> ResumingTurn::started() const {
  absl::MutexLock lock(&mutex_);
  return received_.started();
}

v1::ConverseRequest ResumingTurn::FirstMessage() const {
  v1::ConverseRequest first;
  if (!received_.has_number()) {
    *first.mutable_start() = request_;
    return first;
  }
  const TurnPosition& from = received_.position();
  v1::ResumeRequest* const resume = first.mutable_resume();
  resume->set_session_id(from.session_id);
  resume->set_turn(from.turn);
  resume->set_tokens_received(from.tokens);
  resume->set_text_bytes_received(from.text_bytes);
  resume->set_prompt_tokens_received(from.prompt_tokens);
  return first;
}

void ResumingTurn::Open() {
  v1::ConverseRequest first;
  {
    absl::MutexLock lock(&mutex_);
    if (over_.has_value()) return;
    received_.BeginStream();
    first = FirstMessage();
  }
  LiveTurns::Hold hold(setup_.live);
  if (!hold.is_held()) return Leave();
  const std::shared_ptr<ConverseCall> call =
      ConverseCall::Start({.hold = std::move(hold),
                           .stub = setup_.stub,
                           .api_key = setup_.api_key,
                           .deadline = setup_.deadline,
                           .listener = shared_from_this()},
                          std::move(first));
  bool is_over = false;
  bool is_cancelled = false;
  bool is_awaited = false;
  {
    absl::MutexLock lock(&mutex_);
    call_ = call;
    is_over = over_.has_value();
    is_cancelled = cancel_asked_;
    is_awaited = next_ != nullptr;
  }
  if (is_over) return call->Abort();
  if (is_cancelled) call->Cancel();
  if (is_awaited) call->Read();
}

void ResumingTurn::OpenAfter(absl::Duration wait) {
  auto alarm = std::make_unique<grpc::Alarm>();
  absl::MutexLock lock(&mutex_);
  if (over_.has_value()) return;
  alarm_.swap(alarm);
  alarm_->Set(After(wait), [turn = weak_from_this()](bool is_time) {
    if (!is_time) return;
    if (const std::shared_ptr<ResumingTurn> self = turn.lock()) self->Open();
  });
}

void ResumingTurn::OnEvent(v1::ConverseResponse event) {
  std::function<void(NextEvent)> done;
  std::shared_ptr<ConverseCall> call;
  absl::Status wrong;
  const bool is_end = event.has_ended();
  {
    absl::MutexLock lock(&mutex_);
    if (over_.has_value()) return;
    call = call_;
    const absl::StatusOr<bool> is_news = received_.Add(event);
    if (!is_news.ok()) {
      wrong = is_news.status();
      done = End(wrong);
    } else if (*is_news) {
      if (event.has_started()) {
        v1::TurnRequest().Swap(&request_);
      } else {
        schedule_.Reset();
      }
      done = is_end ? End(absl::OkStatus()) : std::exchange(next_, nullptr);
    }
  }
  if (!wrong.ok()) {
    call->Abort();
    return done(wrong);
  }
  if (!done) return call->Read();
  if (is_end) call->Finish();
  done(std::optional<Event>(std::move(event)));
}

void ResumingTurn::OnEnd(const StreamEnd& end) {
  std::function<void(NextEvent)> done;
  absl::Status error;
  std::optional<absl::Duration> wait;
  int attempt = 0;
  {
    absl::MutexLock lock(&mutex_);
    call_ = nullptr;
    if (over_.has_value()) return;
    wait = WaitAfter(end);
    attempt = schedule_.attempts();
    error = wait.has_value() ? FromGrpcStatus(end.status) : FinalError(end);
    if (!wait.has_value()) done = End(error);
  }
  if (!wait.has_value()) {
    if (done) done(error);
    return;
  }
  if (setup_.on_lost) {
    setup_.on_lost({.error = error, .attempt = attempt, .wait = *wait});
  }
  OpenAfter(*wait);
}

std::optional<absl::Duration> ResumingTurn::WaitAfter(const StreamEnd& end) {
  const bool is_lost = IsLostConnection(end.status);
  if (!received_.has_number()) {
    const bool is_store_away = WaitsForStore(end.status);
    if (end.first_was_sent && !is_store_away) ++starts_sent_;
    const bool may_be_sent_again = is_lost && !has_session_ &&
                                   starts_sent_ > 0 &&
                                   starts_sent_ < kStartsSentMax;
    if (!is_store_away && !may_be_sent_again) return std::nullopt;
  } else if (!is_lost && !WaitsForResume(end.status)) {
    return std::nullopt;
  }
  return schedule_.NextWait(MonotonicNow(),
                            RetryDelay(FromGrpcStatus(end.status)));
}

absl::Status ResumingTurn::FinalError(const StreamEnd& end) const {
  if (end.status.ok()) {
    return absl::InternalError("the stream ended before the turn; ask again");
  }
  const absl::Status error = FromGrpcStatus(end.status);
  const bool was_lost = received_.has_number() || starts_sent_ > 0;
  if (schedule_.attempts() > 0 && was_lost) {
    return Annotate(error, "after a lost connection");
  }
  if (starts_sent_ > 0 && IsLostConnection(end.status)) {
    return Annotate(error,
                    "the connection was lost before the service said that the "
                    "turn has started, and it may have run");
  }
  return error;
}

std::function<void(NextEvent)> ResumingTurn::End(absl::Status status) {
  over_ = std::move(status);
  return std::exchange(next_, nullptr);
}

}  // namespace tandem::client
