#include "services/coordinator/turn/score_lane.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/status.h"
#include "services/coordinator/turn/worker_failure.h"

namespace tandem {
namespace {

// False for NaN too.
bool IsLogprob(float logprob) { return logprob <= 0; }

bool IsSound(const SampledToken& token, int alternatives) {
  return IsLogprob(token.logprob) &&
         token.alternatives.size() <= static_cast<size_t>(alternatives) &&
         std::all_of(token.alternatives.begin(), token.alternatives.end(),
                     [](const TokenLogprob& alternative) {
                       return alternative.id >= 0 &&
                              IsLogprob(alternative.logprob);
                     });
}

}  // namespace

ScoreLane::~ScoreLane() { context_->loop->CancelTimer(&timer_); }

void ScoreLane::Start() {
  since_ = context_->loop->Now();
  LookLater(MonotonicDuration::zero());
}

void ScoreLane::LookLater(MonotonicDuration wait) {
  timer_ = context_->loop->SetTimer(context_->loop->Now() + wait, [this] {
    Look(Wait::kOver);
    owner_->OnLaneChanged();
  });
}

void ScoreLane::Look(Wait wait) {
  const TurnLimits& limits = context_->limits;
  if (opens_ >= limits.target_opens_max ||
      context_->loop->Now() - since_ >= (context_->is_begun
                                             ? limits.recovery_budget
                                             : limits.opening_budget)) {
    return Fail(NoneLeft());
  }
  const std::optional<WorkerChoice> worker =
      context_->directory->PickTarget(Query(context_->fingerprint));
  const bool is_new = worker.has_value() && !WasTried(worker->name);
  // It has waited for room already.
  if (!is_new && absl::IsResourceExhausted(lost_status_)) {
    return Fail(NoneLeft());
  }
  // A worker that failed just now gets time, another one is asked at once.
  if (is_new || (worker.has_value() && wait == Wait::kOver)) {
    if (context_->fingerprint.empty()) {
      context_->fingerprint = worker->fingerprint;
    }
    if (MayOpen()) Open(*worker);
    return;
  }
  LookLater(limits.recovery_poll * (1 << std::min(opens_, 5)));
}

bool ScoreLane::MayOpen() {
  PromptQuarantine* const quarantine = context_->quarantine;
  if (quarantine == nullptr || quarantine->suspects() == 0) return true;
  const PromptQuarantine::Leave leave =
      quarantine->Ask(HashPrompt(context_->fingerprint, sequence_.tokens));
  if (leave == PromptQuarantine::Leave::kWait) {
    LookLater(context_->limits.trial_poll);
  } else if (leave == PromptQuarantine::Leave::kNever) {
    Fail(PromptQuarantine::Refusal());
  }
  return leave == PromptQuarantine::Leave::kGo;
}

void ScoreLane::Open(const WorkerChoice& worker) {
  if (context_->quarantine != nullptr) {
    stay_.emplace(context_->quarantine,
                  HashPrompt(context_->fingerprint, sequence_.tokens),
                  worker.name);
  }
  ++opens_;
  tried_.erase(std::remove(tried_.begin(), tried_.end(), worker.name),
               tried_.end());
  tried_.push_back(worker.name);
  is_confirmed_ = false;
  const auto length = static_cast<Position>(sequence_.tokens.size());
  GenOptions options;
  options.seed = 0;
  // Nothing is generated: the sequence holds what is scored.
  stream_ =
      worker.link->Open({.session_id = "score",
                         .turn = sequence_.number,
                         .model_id = worker.model_id,
                         .fingerprint = context_->fingerprint,
                         .tokens = sequence_.tokens,
                         .generated_from = length,
                         .tokens_max = length,
                         .options = std::move(options),
                         .tenant = context_->tenant,
                         .tenant_kv_share = context_->tenant_kv_share,
                         .queue_timeout = QueueTimeout(),
                         .trace = context_->trace,
                         .score_from = sequence_.score_from +
                                       static_cast<Position>(logprobs_.size()),
                         .score_alternatives = sequence_.alternatives},
                        context_->loop, this, context_->deadline);
  context_->directory->OnComputed({.worker = worker.name,
                                   .tenant = context_->tenant,
                                   .fingerprint = worker.fingerprint,
                                   .tokens = sequence_.tokens});
}

void ScoreLane::OnOpened(const OpenedSequence& opened) {
  if (opened.fingerprint == context_->fingerprint) {
    is_confirmed_ = true;
  } else {
    Lose(NoWorker("the target worker has another fingerprint now"));
  }
  owner_->OnLaneChanged();
}

void ScoreLane::OnAnswer(WorkerAnswer /*answer*/) {
  Lose(absl::InternalError("the target answered what it was not asked"));
  owner_->OnLaneChanged();
}

void ScoreLane::OnScored(WorkerScores scores) {
  if (Take(std::move(scores))) {
    context_->is_begun = true;
    since_ = context_->loop->Now();
    opens_ = 1;
    tried_.erase(tried_.begin(), tried_.end() - 1);
    if (stay_.has_value()) stay_->OnAnswer();
    stay_.reset();
    if (sequence_.score_from + logprobs_.size() == sequence_.tokens.size()) {
      state_ = State::kDone;
      stream_.reset();
    }
  } else {
    Lose(absl::InternalError("the target scored what it was not asked for"));
  }
  owner_->OnLaneChanged();
}

void ScoreLane::OnClosed(const absl::Status& status) {
  if (stay_.has_value() && IsDeath(status)) stay_->OnDeath();
  Lose(status.ok() ? absl::UnavailableError("the worker ended the stream")
                   : status);
  owner_->OnLaneChanged();
}

bool ScoreLane::Take(WorkerScores scores) {
  const size_t begin =
      static_cast<size_t>(sequence_.score_from) + logprobs_.size();
  if (!is_confirmed_ || scores.tokens.empty() ||
      scores.position != static_cast<Position>(begin) ||
      scores.tokens.size() > sequence_.tokens.size() - begin) {
    return false;
  }
  for (const ScoredToken& score : scores.tokens) {
    if (!IsSound(score.token, sequence_.alternatives)) return false;
  }
  for (ScoredToken& score : scores.tokens) {
    logprobs_.push_back(score.token.logprob);
    if (sequence_.alternatives > 0) {
      alternatives_.push_back(std::move(score.token.alternatives));
    }
    is_greedy_ = is_greedy_ && score.is_greedy;
  }
  return true;
}

void ScoreLane::Lose(const absl::Status& status) {
  stay_.reset();
  stream_.reset();
  if (IsFatal(status)) return Fail(status);
  lost_status_ = status;
  Look(Wait::kNone);
}

void ScoreLane::Fail(const absl::Status& status) {
  state_ = State::kFailed;
  status_ = status;
}

absl::Status ScoreLane::NoneLeft() const {
  const std::string& model_id = context_->model_id;
  if (absl::IsResourceExhausted(lost_status_)) {
    const std::optional<ErrorDetail> detail = GetErrorDetail(lost_status_);
    return Exhausted(
        "the target workers have no room for what is scored now",
        detail.has_value() ? detail->retry_delay_ms : std::nullopt);
  }
  WorkerDirectory* const directory = context_->directory;
  if (!directory->PickTarget(Query(context_->fingerprint)).has_value() &&
      directory->PickTarget(Query(/*fingerprint=*/"")).has_value()) {
    return NoWorker(absl::StrCat("the workers of model ", model_id,
                                 " have another version of it than the call "
                                 "began with; call again"));
  }
  return NoWorker(
      absl::StrCat("no target worker can serve model ", model_id, " now"));
}

TargetQuery ScoreLane::Query(std::string fingerprint) const {
  return {
      .model_id = context_->model_id,
      .fingerprint = std::move(fingerprint),
      .vocabulary_fingerprint = context_->vocabulary_fingerprint,
      .avoid = tried_,
      .need = {.tenant = context_->tenant,
               .tokens = sequence_.tokens,
               .tokens_max = static_cast<Position>(sequence_.tokens.size())}};
}

bool ScoreLane::WasTried(const std::string& worker) const {
  return std::find(tried_.begin(), tried_.end(), worker) != tried_.end();
}

MonotonicDuration ScoreLane::QueueTimeout() const {
  const MonotonicTime now = context_->loop->Now();
  MonotonicTime until = now + context_->limits.queue_timeout;
  if (context_->deadline.has_value()) {
    until = std::min(until, *context_->deadline);
  }
  return std::max(until - now, MonotonicDuration::zero());
}

}  // namespace tandem
