#include "services/coordinator/turn/turn_runner.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/error_reason.h"
#include "engine/sampling/draft_options.h"
#include "services/coordinator/turn/turn_observer.h"

namespace tandem {
namespace {

// True where another worker, or the same one later, can not do better: the
// request itself is at fault, or the model's numbers are.
bool IsFatal(const absl::Status& status) {
  if (status.code() == absl::StatusCode::kInvalidArgument) return true;
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  if (!detail.has_value()) return false;
  return detail->reason == kReasonNoToken ||
         detail->reason == kReasonNumericCorruption ||
         detail->reason == kReasonContextExceeded;
}

}  // namespace

TurnRunner::TurnRunner(EventLoop* loop, WorkerDirectory* directory,
                       const TurnLimits& limits, TurnSetup setup)
    : loop_(loop),
      directory_(directory),
      limits_(limits),
      setup_(std::move(setup)),
      controller_(setup_.controller),
      turn_(std::make_unique<Turn>(setup_.tokenizer.get(), setup_.spec)),
      next_epoch_(setup_.first_epoch),
      last_drafter_(setup_.last_drafter.name) {}

TurnRunner::~TurnRunner() {
  Release();
  if (started_) ReportOver();
}

void TurnRunner::Start(WorkerChoice target) {
  model_id_ = target.model_id;
  fingerprint_ = target.fingerprint;
  vocabulary_fingerprint_ = target.vocabulary_fingerprint;
  started_at_ = loop_->Now();
  started_ = true;
  Launch(std::move(target));
  Notify();
}

void TurnRunner::Resume() {
  TANDEM_CHECK(state_ == State::kSuspended);
  status_ = absl::OkStatus();
  earlier_.Add(turn_->speculation());
  const std::vector<SampledToken> committed = turn_->sampled();
  turn_ =
      std::make_unique<Turn>(setup_.tokenizer.get(), setup_.spec, committed);
  SetState(State::kRunning);
  tried_.clear();
  Launch(PickTarget());
  Notify();
}

void TurnRunner::Launch(std::optional<WorkerChoice> target) {
  target_opens_ = 0;
  lost_at_.reset();
  tokens_at_.reset();
  launched_at_ = loop_->Now();
  if (setup_.timeout.has_value()) {
    timeout_timer_ = loop_->SetTimer(started_at_ + *setup_.timeout, [this] {
      Cancel(FinishReason::kDeadline);
    });
  }
  if (target.has_value()) OpenTarget(*target);
  TakeCosts();
  const bool has_drafter = OpenDrafter();
  speculator_ = std::make_unique<Speculator>(&controller_, setup_.spec.options);
  TakeCosts();
  Perform(turn_->Start(has_drafter, speculator_.get()));
  if (!target.has_value() && active()) {
    LoseTarget(NoWorker("no target worker with the turn's fingerprint"));
  }
}

void TurnRunner::OpenLane(const WorkerChoice& worker, bool is_target,
                          Lane* lane) {
  const TurnSpec& spec = setup_.spec;
  *lane = Lane();
  lane->tag = {.session_id = setup_.session_id,
               .epoch = next_epoch_++,
               .turn = setup_.number};
  lane->link = worker.link;
  lane->name = worker.name;
  lane->fingerprint = worker.fingerprint;
  lane->context_max = worker.context_max;
  lane->vocab_size = worker.vocab_size;
  OpenRequest open{
      .tag = lane->tag,
      .model_id = worker.model_id,
      .fingerprint = is_target ? fingerprint_ : "",
      .tokens = turn_->session_tokens(),
      .generated_from = static_cast<Position>(spec.prompt.size()),
      .tokens_max = std::min(worker.context_max, TokensMax()),
      .options = is_target ? spec.options
                           : OptionsForDrafter(spec.options, worker.vocab_size),
      .tenant = setup_.tenant,
      .trace = setup_.trace};
  if (is_target) {
    open.queue_timeout = QueueTimeout();
    if (setup_.draft_priors != nullptr) {
      controller_.Join(setup_.draft_priors->AccordOf(worker.name));
    }
  }
  // A little later than our own timer, which ends the turn in good order.
  std::optional<MonotonicTime> deadline;
  if (setup_.timeout.has_value()) {
    deadline = started_at_ + *setup_.timeout + std::chrono::seconds(1);
  }
  (is_target ? last_target_ : last_drafter_) = worker.name;
  TellComputed(*lane);
  lane->stream = worker.link->Open(std::move(open), loop_, this, deadline);
}

Position TurnRunner::TokensMax() const {
  return static_cast<Position>(setup_.spec.prompt.size()) +
         setup_.spec.options.max_tokens + DraftLengthMax(setup_.spec.options);
}

SequenceNeed TurnRunner::NeedOf(const LastWorker& last,
                                const std::vector<TokenId>& tokens) const {
  const int64_t generated = static_cast<int64_t>(turn_->generated().size());
  return {.tenant = setup_.tenant,
          .tokens = tokens,
          .tokens_max = TokensMax(),
          .generated_max =
              static_cast<int>(setup_.spec.options.max_tokens - generated),
          .last_worker = last};
}

LastWorker TurnRunner::LastOf(const std::string& name) const {
  return {.name = name,
          .tokens = static_cast<Position>(setup_.spec.prompt.size() +
                                          turn_->generated().size())};
}

void TurnRunner::TellComputed(const Lane& lane) {
  const std::vector<TokenId> tokens = turn_->session_tokens();
  directory_->OnComputed({.worker = lane.name,
                          .tenant = setup_.tenant,
                          .fingerprint = lane.fingerprint,
                          .tokens = tokens});
}

void TurnRunner::Suspend(const absl::Status& status) {
  if (!active()) return;
  Release();
  status_ = status;
  SetState(State::kSuspended);
  Notify();
}

void TurnRunner::Cancel(FinishReason reason) {
  if (state_ == State::kEnded || state_ == State::kFailed) return;
  Perform(turn_->OnCancel(reason));
  Notify();
}

void TurnRunner::SetTokensRead(int64_t tokens) {
  tokens_read_ = tokens;
  if (active()) SendPending();
}

TurnUsage TurnRunner::usage() const {
  TurnUsage usage = turn_->usage();
  usage.cached_prompt_tokens = cached_prompt_tokens_.value_or(0);
  return usage;
}

SpeculationCounts TurnRunner::speculation() const {
  SpeculationCounts counts = earlier_;
  counts.Add(turn_->speculation());
  return counts;
}

TurnRunner::Group TurnRunner::NextGroup(int64_t tokens,
                                        int64_t tokens_max) const {
  const auto is_before = [](int64_t count, const Group& group) {
    return count < group.end;
  };
  auto group =
      std::upper_bound(groups_.begin(), groups_.end(), tokens, is_before);
  TANDEM_CHECK(group != groups_.end());
  while (group + 1 != groups_.end() &&
         (group + 1)->end - tokens <= tokens_max) {
    ++group;
  }
  return *group;
}

void TurnRunner::Perform(std::vector<TurnAction> actions) {
  for (TurnAction& action : actions) {
    std::visit([this](auto& it) { OnAction(std::move(it)); }, action);
  }
  if (active()) SendPending();
}

void TurnRunner::OnAction(ProposeAction propose) {
  if (propose.is_ahead) return SendAhead(std::move(propose));
  pending_verify_.reset();
  pending_propose_ = std::move(propose);
}

void TurnRunner::OnAction(VerifyAction verify) {
  pending_propose_.reset();
  pending_verify_ = std::move(verify);
}

void TurnRunner::OnAction(EmitAction emit) {
  if (emit.first_token == 0 && !emit.tokens.empty()) {
    times_.first_token_us = MicrosSinceStart();
  }
  decided_bytes_ += emit.text.size();
  if (emit.tokens.empty()) return;
  ReportTokens(emit);
  groups_.push_back(
      {.end = emit.first_token + static_cast<int64_t>(emit.tokens.size()),
       .text_end = decided_bytes_});
}

void TurnRunner::OnAction(EndAction end) {
  Release();
  finish_reason_ = end.reason;
  if (end.reason == FinishReason::kError) {
    status_ = absl::InternalError("a target's answer breaks the protocol");
    SetState(State::kFailed);
    return;
  }
  SetState(State::kEnded);
}

void TurnRunner::SendPending() {
  const int64_t generated = static_cast<int64_t>(turn_->generated().size());
  if (generated - tokens_read_ >= limits_.unread_tokens_max) return;
  if (pending_propose_.has_value() && drafter_.stream != nullptr) {
    ProposeAction propose = *std::move(pending_propose_);
    pending_propose_.reset();
    SendPropose(std::move(propose));
    return;
  }
  if (pending_verify_.has_value() && target_.stream != nullptr) {
    VerifyAction verify = *std::move(pending_verify_);
    pending_verify_.reset();
    target_.outstanding = true;
    target_.expected =
        verify.position + static_cast<Position>(verify.tokens.size());
    target_.sent_at = loop_->Now();
    target_.draft_length = static_cast<int>(verify.draft.size());
    target_.stream->Verify(std::move(verify));
  }
}

bool TurnRunner::IsAnswer(const Lane& lane, const StreamTag& tag,
                          Position position) const {
  // Else it is stale, duplicated or unasked.
  return active() && lane.stream != nullptr && tag == lane.tag &&
         lane.outstanding && position == lane.expected;
}

std::optional<TurnRunner::RoundTrip> TurnRunner::TakeAnswer(
    Lane* lane, const AnswerTimes& times) {
  lane->outstanding = false;
  // A worker's own clock is not trusted beyond the round trip.
  const int64_t round_trip_us = Micros(loop_->Now() - lane->sent_at);
  const int64_t computed_us =
      std::clamp<int64_t>(times.compute_us, 0, round_trip_us);
  const int64_t served_us =
      times.served_us <= 0
          ? computed_us
          : std::clamp(times.served_us, computed_us, round_trip_us);
  (lane == &target_ ? times_.verify_us : times_.draft_us) += computed_us;
  times_.rpc_us += round_trip_us - computed_us;
  times_.wait_us += served_us - computed_us;
  if (!std::exchange(lane->ran_prompt, true)) return std::nullopt;
  return RoundTrip{.us = static_cast<double>(round_trip_us),
                   .served_us = static_cast<double>(served_us)};
}

void TurnRunner::TakeCosts() {
  const auto is_new = [](Lane* lane) {
    if (lane->link == nullptr) return false;
    std::shared_ptr<const WorkerCosts> costs = lane->link->costs();
    if (costs == nullptr || costs == lane->costs) return false;
    lane->costs = std::move(costs);
    return true;
  };
  if (is_new(&target_)) {
    controller_.cost().SetTarget(target_.costs->passes,
                                 {.sequences = target_.costs->sequences,
                                  .streams = target_.costs->streams,
                                  .takes_turns = target_.costs->takes_turns});
  }
  if (is_new(&drafter_)) {
    controller_.cost().SetDraft(drafter_.costs->passes,
                                drafter_.costs->sequences);
  }
  turn_->SetDraftAhead(
      limits_.draft_ahead && target_.costs != nullptr &&
      !target_.costs->takes_turns && drafter_.costs != nullptr &&
      !drafter_.costs->takes_turns &&
      drafter_.costs->sequences < limits_.draft_ahead_sequences_max);
}

void TurnRunner::OnOpened(const StreamTag& tag, const OpenedSequence& opened) {
  if (!active()) return;
  if (drafter_.stream != nullptr && tag == drafter_.tag) {
    drafter_.opened = true;
    return;
  }
  if (target_.stream == nullptr || !(tag == target_.tag)) return;
  if (opened.fingerprint != fingerprint_) {
    LoseTarget(NoWorker("the target worker has another fingerprint now"));
  } else {
    target_.opened = true;
    times_.queue_us +=
        std::clamp<int64_t>(opened.queued_us, 0, MicrosSinceStart());
    if (!cached_prompt_tokens_.has_value()) {
      cached_prompt_tokens_ =
          std::clamp<int64_t>(opened.cached_tokens, 0,
                              static_cast<int64_t>(setup_.spec.prompt.size()));
    }
    if (state_ == State::kOpening) SetState(State::kRunning);
  }
  Notify();
}

void TurnRunner::OnVerified(const StreamTag& tag, VerifiedTokens verified) {
  if (!target_.opened || !IsAnswer(target_, tag, verified.position)) return;
  const std::optional<RoundTrip> trip = TakeAnswer(
      &target_,
      {.compute_us = verified.compute_us, .served_us = verified.served_us});
  TakeCosts();
  if (trip.has_value()) {
    speculator_->OnVerified(target_.draft_length, trip->us, trip->served_us);
  }
  OpenDeferredDrafter();
  target_opens_ = 1;
  tried_ = {target_.name};
  lost_at_.reset();
  if (drafter_.ahead.has_value()) drafter_.ahead->is_dropped = true;
  Perform(turn_->OnVerified(verified.tokens));
  Notify();
}

void TurnRunner::OnClosed(const StreamTag& tag, const absl::Status& status) {
  if (!active()) return;
  if (drafter_.stream != nullptr && tag == drafter_.tag) {
    LoseDrafter();
    Notify();
    return;
  }
  if (target_.stream == nullptr || !(tag == target_.tag)) return;
  LoseTarget(status.ok() ? absl::UnavailableError("the worker ended the stream")
                         : status);
  Notify();
}

void TurnRunner::LoseTarget(const absl::Status& status) {
  target_ = Lane();
  last_target_.clear();
  pending_verify_.reset();  // OnTargetReplaced asks for it again
  if (IsFatal(status)) {
    Release();
    status_ = status;
    SetState(State::kFailed);
    return;
  }
  lost_status_ = status;
  if (!lost_at_.has_value()) lost_at_ = loop_->Now();
  LookForTarget(Wait::kNone);
}

void TurnRunner::LookForTarget(Wait wait) {
  const bool opening = state_ == State::kOpening;
  const MonotonicDuration budget =
      opening ? limits_.opening_budget : limits_.recovery_budget;
  if (target_opens_ >= limits_.target_opens_max ||
      loop_->Now() - *lost_at_ >= budget) {
    return GiveUp();
  }
  const std::optional<WorkerChoice> worker = PickTarget();
  const bool is_new =
      worker.has_value() &&
      std::find(tried_.begin(), tried_.end(), worker->name) == tried_.end();
  // Overload is told at once while the client has nothing yet: it may try
  // elsewhere.
  if (opening && !is_new &&
      lost_status_.code() == absl::StatusCode::kResourceExhausted) {
    return GiveUp();
  }
  // A worker that failed just now gets time, another one is asked at once.
  if (is_new || (worker.has_value() && wait == Wait::kOver)) {
    OpenTarget(*worker);
    Perform(turn_->OnTargetReplaced());
    return;
  }
  const int doublings = std::min(target_opens_, 5);
  recovery_timer_ = loop_->SetTimer(
      loop_->Now() + limits_.recovery_poll * (1 << doublings), [this] {
        LookForTarget(Wait::kOver);
        Notify();
      });
}

std::optional<WorkerChoice> TurnRunner::PickTarget() {
  const std::vector<TokenId> tokens = turn_->session_tokens();
  return directory_->PickTarget(
      {.model_id = model_id_,
       .fingerprint = fingerprint_,
       .vocabulary_fingerprint = vocabulary_fingerprint_,
       .avoid = tried_,
       .need = NeedOf(LastOf(last_target_), tokens)});
}

void TurnRunner::OpenTarget(const WorkerChoice& worker) {
  ++target_opens_;
  if (std::find(tried_.begin(), tried_.end(), worker.name) == tried_.end()) {
    tried_.push_back(worker.name);
  }
  OpenLane(worker, /*is_target=*/true, &target_);
}

MonotonicDuration TurnRunner::QueueTimeout() const {
  const MonotonicTime now = loop_->Now();
  MonotonicTime until = launched_at_ + limits_.queue_timeout;
  if (state_ == State::kRunning && lost_at_.has_value()) {
    until = std::max(until, *lost_at_ + limits_.queue_timeout);
    until = std::min(until, *lost_at_ + limits_.recovery_budget);
  }
  if (setup_.timeout.has_value()) {
    until = std::min(until, started_at_ + *setup_.timeout);
  }
  return std::max(until - now, MonotonicDuration::zero());
}

void TurnRunner::GiveUp() {
  Release();
  // What workers say about connections names internal addresses: a client gets
  // our words, lost_status() has theirs.
  const std::optional<ErrorDetail> lost_detail = GetErrorDetail(lost_status_);
  status_ =
      lost_status_.code() == absl::StatusCode::kResourceExhausted
          ? Exhausted("the target workers have no room for the turn now",
                      lost_detail.has_value() ? lost_detail->retry_delay_ms
                                              : std::nullopt)
          : NoWorker(absl::StrCat("no target worker can serve model ",
                                  model_id_, " now"));
  SetState(state_ == State::kOpening ? State::kFailed : State::kSuspended);
}

void TurnRunner::Release() {
  for (const Lane* lane : {&target_, &drafter_}) {
    if (lane->opened && lane->stream != nullptr) TellComputed(*lane);
  }
  target_ = Lane();
  drafter_ = Lane();
  pending_propose_.reset();
  pending_verify_.reset();
  speculator_.reset();
  loop_->CancelTimer(&timeout_timer_);
  loop_->CancelTimer(&draft_timer_);
  loop_->CancelTimer(&recovery_timer_);
}

void TurnRunner::SetState(State state) {
  state_ = state;
  if (state == State::kRunning || state == State::kEnded) taken_ = true;
  if (!active()) times_.total_us = MicrosSinceStart();
  if (state == State::kEnded || state == State::kFailed) ReportOver();
}

void TurnRunner::ReportTokens(const EmitAction& emit) {
  const std::optional<MonotonicTime> last =
      std::exchange(tokens_at_, loop_->Now());
  if (setup_.observer == nullptr) return;
  const int64_t tokens = static_cast<int64_t>(emit.tokens.size());
  if (emit.first_token == 0) {
    setup_.observer->OnFirstTokens(tokens, *tokens_at_ - started_at_);
  } else if (last.has_value()) {
    setup_.observer->OnTokens(tokens, *tokens_at_ - *last);
  } else {
    setup_.observer->OnTokens(tokens, std::nullopt);
  }
}

void TurnRunner::ReportOver() {
  if (setup_.observer == nullptr || std::exchange(over_reported_, true)) return;
  setup_.observer->OnTurnOver({.finish_reason = finish_reason_,
                               .usage = usage(),
                               .speculation = speculation(),
                               .times = times_});
}

void TurnRunner::Notify() {
  if (listener_ != nullptr) listener_->OnTurnChanged();
}

int64_t TurnRunner::MicrosSinceStart() const {
  return Micros(loop_->Now() - started_at_);
}

}  // namespace tandem
