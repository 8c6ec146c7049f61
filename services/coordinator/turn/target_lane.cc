#include "services/coordinator/turn/target_lane.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "services/coordinator/turn/worker_failure.h"

namespace tandem {
void TargetLane::Start(const WorkerChoice& worker) {
  Begin();
  if (MayOpen()) Open(worker);
}

void TargetLane::Resume() {
  Begin();
  if (!MayOpen()) return;
  const std::optional<WorkerChoice> worker = Pick();
  if (worker.has_value()) return Open(*worker);
  Lose(NoWorker("no target worker with the turn's fingerprint"));
}

void TargetLane::Begin() {
  launched_at_ = context_->loop->Now();
  lost_at_.reset();
  opens_ = 0;
  tried_.clear();
}

void TargetLane::Close() {
  stay_.reset();
  lane_.Close();
  context_->target = {};
  context_->loop->CancelTimer(&timer_);
}

bool TargetLane::MayOpen() {
  PromptQuarantine* const quarantine = context_->setup.quarantine;
  if (quarantine == nullptr || quarantine->suspects() == 0) return true;
  const PromptQuarantine::Leave leave = quarantine->Ask(Prompt());
  if (leave == PromptQuarantine::Leave::kWait) {
    if (!lost_at_.has_value()) lost_at_ = context_->loop->Now();
    LookLater(context_->limits.trial_poll);
  } else if (leave == PromptQuarantine::Leave::kNever) {
    owner_->Stop(TurnState::kFailed, PromptQuarantine::Refusal());
  }
  return leave == PromptQuarantine::Leave::kGo;
}

PromptHash TargetLane::Prompt() const {
  return HashPrompt(context_->model.fingerprint, context_->turn.prompt());
}

void TargetLane::Open(const WorkerChoice& worker) {
  if (context_->setup.quarantine != nullptr) {
    stay_.emplace(context_->setup.quarantine, Prompt(), worker.name);
  }
  ++opens_;
  if (!WasTried(worker)) tried_.push_back(worker.name);
  context_->target = worker;
  lane_.Open(worker,
             {.options = context_->turn.options(),
              .fingerprint = context_->model.fingerprint,
              .queue_timeout = QueueTimeout()},
             this);
}

std::optional<WorkerChoice> TargetLane::Pick() const {
  return context_->directory->PickTarget(
      {.model_id = context_->model.id,
       .fingerprint = context_->model.fingerprint,
       .vocabulary_fingerprint = context_->model.vocabulary_fingerprint,
       .avoid = tried_,
       .need = context_->Need(last_worker())});
}

bool TargetLane::WasTried(const WorkerChoice& worker) const {
  return std::find(tried_.begin(), tried_.end(), worker.name) != tried_.end();
}

void TargetLane::OnOpened(const OpenedSequence& opened) {
  if (opened.fingerprint != context_->model.fingerprint) {
    Lose(NoWorker("the target worker has another fingerprint now"));
    return owner_->Notify();
  }
  lane_.OnOpened();
  if (home_.has_value() && *home_ != lane_.worker().name) ++moves_;
  home_ = lane_.worker().name;
  context_->times.queue_us +=
      std::clamp<int64_t>(opened.queued_us, 0, context_->MicrosSinceStart());
  if (!is_confirmed()) {
    cached_prompt_tokens_ = std::clamp<int64_t>(
        opened.cached_tokens, 0, context_->turn.usage().prompt_tokens);
  }
  owner_->Notify();
}

void TargetLane::OnAnswer(WorkerAnswer answer) {
  const std::optional<LaneRoundTrip> trip = lane_.Take(answer);
  if (trip.has_value()) {
    context_->times.verify_us += trip->compute_us;
    trip->AddTo(&context_->times);
    opens_ = 1;
    tried_ = {lane_.worker().name};
    lost_at_.reset();
    if (stay_.has_value()) {
      stay_->OnAnswer();
      stay_.reset();
    }
    owner_->OnVerified(*trip, answer.tokens);
  } else {
    Lose(absl::InternalError("the target answered what it was not asked"));
  }
  owner_->Notify();
}

void TargetLane::OnClosed(const absl::Status& status) {
  if (stay_.has_value() && IsDeath(status)) stay_->OnDeath();
  Lose(status.ok() ? absl::UnavailableError("the worker ended the stream")
                   : status);
  owner_->Notify();
}

void TargetLane::Lose(const absl::Status& status) {
  if (lane_.is_confirmed()) home_ = "";
  stay_.reset();
  lane_.Lose();
  context_->target = {};
  if (IsFatal(status)) return owner_->Stop(TurnState::kFailed, status);
  lost_status_ = status;
  if (!lost_at_.has_value()) lost_at_ = context_->loop->Now();
  Look(Wait::kNone);
}

void TargetLane::Look(Wait wait) {
  const TurnLimits& limits = context_->limits;
  const MonotonicTime now = context_->loop->Now();
  if (opens_ >= limits.target_opens_max ||
      now - *lost_at_ >=
          (is_confirmed() ? limits.recovery_budget : limits.opening_budget)) {
    return GiveUp();
  }
  const std::optional<WorkerChoice> worker = Pick();
  const bool is_new = worker.has_value() && !WasTried(*worker);
  // A client that has nothing yet hears of overload at once: it may try
  // elsewhere.
  if (!is_confirmed() && !is_new &&
      lost_status_.code() == absl::StatusCode::kResourceExhausted) {
    return GiveUp();
  }
  // A worker that failed just now gets time, another one is asked at once.
  if (is_new || (worker.has_value() && wait == Wait::kOver)) {
    if (!MayOpen()) return;
    Open(*worker);
    return owner_->Perform(context_->turn.OnTargetReplaced());
  }
  LookLater(limits.recovery_poll * (1 << std::min(opens_, 5)));
}

void TargetLane::LookLater(MonotonicDuration wait) {
  timer_ = context_->loop->SetTimer(context_->loop->Now() + wait, [this] {
    Look(Wait::kOver);
    owner_->Notify();
  });
}

bool TargetLane::HasModelChanged() const {
  return !Pick().has_value() &&
         context_->directory
             ->PickTarget({.model_id = context_->model.id,
                           .need = context_->Need(/*last=*/{})})
             .has_value();
}

// What workers say about connections names internal addresses: a client gets
// our words, lost_status() has theirs.
void TargetLane::GiveUp() {
  const std::string& model_id = context_->model.id;
  absl::Status status = NoWorker(
      absl::StrCat("no target worker can serve model ", model_id, " now"));
  if (is_confirmed() && HasModelChanged()) {
    // Trying again does not help: a rollout seldom goes back.
    status = MakeError(
        absl::StatusCode::kFailedPrecondition, {.reason = kReasonModelChanged},
        absl::StrCat("the workers of model ", model_id,
                     " have another version of it than the turn began with; "
                     "start the session's next turn, which goes on from its "
                     "text with the new one"));
  } else if (absl::IsResourceExhausted(lost_status_)) {
    const std::optional<ErrorDetail> detail = GetErrorDetail(lost_status_);
    status =
        Exhausted("the target workers have no room for the turn now",
                  detail.has_value() ? detail->retry_delay_ms : std::nullopt);
  }
  owner_->Stop(is_confirmed() ? TurnState::kSuspended : TurnState::kFailed,
               status);
}

MonotonicDuration TargetLane::QueueTimeout() const {
  const TurnLimits& limits = context_->limits;
  MonotonicTime until = launched_at_ + limits.queue_timeout;
  if (is_confirmed() && lost_at_.has_value()) {
    until = std::max(until, *lost_at_ + limits.queue_timeout);
    until = std::min(until, *lost_at_ + limits.recovery_budget);
  }
  if (context_->setup.timeout.has_value()) {
    until = std::min(until, context_->started_at + *context_->setup.timeout);
  }
  return std::max(until - context_->loop->Now(), MonotonicDuration::zero());
}

}  // namespace tandem
