#include "services/coordinator/turn/turn_runner.h"

#include <utility>
#include <variant>

#include "engine/base/check.h"
#include "services/coordinator/turn/turn_observer.h"

namespace tandem {
namespace {

// `last`: when tokens came before; absent right after Start and Resume.
void ObserveTokens(const EmitAction& emit, std::optional<MonotonicTime> last,
                   TurnContext* context) {
  const int64_t tokens = static_cast<int64_t>(emit.tokens.size());
  const MonotonicTime now = context->loop->Now();
  TurnObserver* const observer = context->setup.observer;
  if (observer != nullptr) observer->OnRound(emit.draft);
  if (emit.first_token == 0) {
    context->times.first_token_us = context->MicrosSinceStart();
    if (observer != nullptr) {
      observer->OnFirstTokens(tokens, now - context->started_at);
    }
  } else if (observer != nullptr) {
    observer->OnTokens(
        tokens, last.has_value() ? std::optional(now - *last) : std::nullopt);
  }
}

}  // namespace

TurnRunner::TurnRunner(EventLoop* loop, WorkerDirectory* directory,
                       const TurnLimits& limits, TurnSetup setup)
    : context_(loop, directory, limits, std::move(setup)),
      target_(&context_, this),
      drafter_(&context_, this) {}

TurnRunner::~TurnRunner() {
  if (active()) {
    Stop(TurnState::kFailed, absl::CancelledError("the turn was forgotten"));
  } else if (state_ == TurnState::kSuspended && has_run_) {
    ReportOver();
  }
}

void TurnRunner::Start(const WorkerChoice& target) {
  TANDEM_CHECK(state_ == TurnState::kNew);
  context_.model = {.id = target.model_id,
                    .fingerprint = target.fingerprint,
                    .vocabulary_fingerprint = target.vocabulary_fingerprint};
  context_.started_at = context_.loop->Now();
  state_ = TurnState::kRunning;
  target_.Start(target);
  Launch();
}

void TurnRunner::Restore(const RestoredTurn& restored) {
  TANDEM_CHECK(state_ == TurnState::kNew);
  context_.model = restored.model;
  context_.started_at = context_.loop->Now() - restored.elapsed;
  context_.times.total_us = context_.MicrosSinceStart();
  is_restored_ = true;
  state_ = TurnState::kSuspended;
  target_.Restore(restored.moves);
  std::vector<TurnAction> actions = context_.turn.Restore(restored.generated);
  if (restored.end.has_value()) {
    // Nothing where the tokens have brought the turn's own end.
    const std::vector<TurnAction> end = context_.turn.OnCancel(*restored.end);
    actions.insert(actions.end(), end.begin(), end.end());
  }
  for (const TurnAction& action : actions) {
    if (const auto* emit = std::get_if<EmitAction>(&action)) {
      rounds_.Add(*emit);
    } else if (const auto* end = std::get_if<EndAction>(&action)) {
      finish_reason_ = end->reason;
      state_ = TurnState::kEnded;
    }
  }
}

void TurnRunner::Resume() {
  TANDEM_CHECK(state_ == TurnState::kSuspended);
  context_.turn.Suspend();
  status_ = absl::OkStatus();
  state_ = TurnState::kRunning;
  target_.Resume();
  Launch();
}

void TurnRunner::Launch() {
  has_run_ = true;
  if (active()) {
    tokens_at_.reset();
    if (setup().timeout.has_value()) {
      timeout_timer_ =
          context_.loop->SetTimer(context_.started_at + *setup().timeout,
                                  [this] { Cancel(FinishReason::kDeadline); });
    }
    const bool has_drafter = drafter_.Start();
    Perform(context_.turn.Start(has_drafter, drafter_.speculator()));
  }
  Notify();
}

void TurnRunner::Suspend(const absl::Status& status) {
  if (!active()) return;
  Stop(TurnState::kSuspended, status);
  Notify();
}

void TurnRunner::Cancel(FinishReason reason) {
  if (state_ == TurnState::kEnded || state_ == TurnState::kFailed) return;
  if (active() && turn().usage().generated_tokens < tokens_read_) {
    if (!end_behind_.has_value()) end_behind_ = reason;
    return;
  }
  Perform(context_.turn.OnCancel(reason));
  Notify();
}

void TurnRunner::SetTokensRead(int64_t tokens) {
  tokens_read_ = tokens;
  SendPending();
}

TurnUsage TurnRunner::usage() const {
  TurnUsage usage = turn().usage();
  usage.cached_prompt_tokens = target_.cached_prompt_tokens();
  return usage;
}

TurnTimes TurnRunner::times() const {
  TurnTimes times = context_.times;
  if (active()) times.total_us = context_.MicrosSinceStart();
  return times;
}

void TurnRunner::Perform(std::vector<TurnAction> actions) {
  for (TurnAction& action : actions) {
    auto* const propose = std::get_if<ProposeAction>(&action);
    if (const auto* emit = std::get_if<EmitAction>(&action)) {
      rounds_.Add(*emit);
      ObserveTokens(*emit, std::exchange(tokens_at_, context_.loop->Now()),
                    &context_);
    } else if (const auto* end = std::get_if<EndAction>(&action)) {
      finish_reason_ = end->reason;
      if (end->reason == FinishReason::kError) {
        Stop(TurnState::kFailed,
             absl::InternalError("a target's answer breaks the protocol"));
      } else {
        Stop(TurnState::kEnded, absl::OkStatus());
      }
    } else if (propose != nullptr && propose->is_ahead) {
      drafter_.Propose(std::move(*propose));
    } else {
      pending_ = std::move(action);
    }
  }
  SendPending();
}

void TurnRunner::SendPending() {
  if (!active() || !pending_.has_value() ||
      turn().usage().generated_tokens - tokens_read_ >=
          context_.limits.unread_tokens_max) {
    return;
  }
  if (std::holds_alternative<ProposeAction>(*pending_)) {
    drafter_.Propose(
        std::get<ProposeAction>(*std::exchange(pending_, std::nullopt)));
  } else if (target_.is_open()) {
    target_.Verify(
        std::get<VerifyAction>(*std::exchange(pending_, std::nullopt)));
  }
}

void TurnRunner::OnVerified(const LaneRoundTrip& trip,
                            absl::Span<const SampledToken> tokens) {
  drafter_.OnVerified(trip);
  Perform(context_.turn.OnVerified(tokens));
  if (end_behind_.has_value() && active() &&
      turn().usage().generated_tokens >= tokens_read_) {
    Perform(context_.turn.OnCancel(*end_behind_));
  }
}

void TurnRunner::Stop(TurnState state, const absl::Status& status) {
  target_.Close();
  drafter_.Close();
  pending_.reset();
  context_.loop->CancelTimer(&timeout_timer_);
  state_ = state;
  status_ = status;
  context_.times.total_us = context_.MicrosSinceStart();
  if (state == TurnState::kEnded || state == TurnState::kFailed) ReportOver();
}

void TurnRunner::ReportOver() const {
  if (setup().observer == nullptr) return;
  setup().observer->OnTurnOver({.finish_reason = finish_reason_,
                                .usage = usage(),
                                .speculation = turn().speculation(),
                                .times = times()});
}

void TurnRunner::Notify() {
  if (listener_ != nullptr) listener_->OnTurnChanged();
}

}  // namespace tandem
