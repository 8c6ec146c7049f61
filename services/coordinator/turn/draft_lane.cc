#include "services/coordinator/turn/draft_lane.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "engine/sampling/draft_options.h"

namespace tandem {
namespace {

// The least size of a vocabulary that has all of the ids.
int VocabSizeFor(absl::Span<const TokenId> tokens) {
  const auto largest = std::max_element(tokens.begin(), tokens.end());
  return largest == tokens.end() ? 0 : *largest + 1;
}

std::shared_ptr<const WorkerCosts> CostsOf(const WorkerChoice& worker) {
  return worker.link == nullptr ? nullptr : worker.link->costs();
}

// The costs' curve, as long as the costs are there.
std::shared_ptr<const CostCurve> PassesOf(
    const std::shared_ptr<const WorkerCosts>& costs) {
  return costs == nullptr
             ? nullptr
             : std::shared_ptr<const CostCurve>(costs, &costs->passes);
}

MonotonicDuration Micro(double us) {
  return std::chrono::duration_cast<MonotonicDuration>(
      std::chrono::duration<double, std::micro>(us));
}

}  // namespace

DraftLane::DraftLane(TurnContext* context, LaneOwner* owner)
    : context_(context), owner_(owner), lane_(context) {
  lane_.SetLastWorker(context->setup.last_drafter.name);
}

bool DraftLane::Start() {
  // Before a target is found, a policy that knows nothing.
  speculator_ = std::make_unique<Speculator>(std::make_shared<DraftPolicy>(),
                                             context_->turn.options());
  TakeCosts();
  const bool is_open = Open();
  TakeCosts();
  return is_open;
}

void DraftLane::Close() {
  lane_.Close();
  speculator_.reset();
  context_->loop->CancelTimer(&timer_);
}

bool DraftLane::Open() {
  const GenOptions& options = context_->turn.options();
  if (!MayUseModel(options)) return false;
  const std::vector<TokenId>& tokens = context_->turn.session_tokens();
  const std::optional<WorkerChoice> drafter = context_->directory->PickDrafter(
      {.vocabulary_fingerprint = context_->model.vocabulary_fingerprint,
       .vocab_size_min = VocabSizeFor(tokens),
       .context_min = static_cast<Position>(tokens.size()),
       .need = context_->Need(context_->setup.last_drafter)});
  is_deferred_ = false;
  if (!drafter.has_value()) {
    speculator_->SetDrafter(std::nullopt);
    return false;
  }
  found_ = true;
  speculator_->SetDrafter(drafter->cached);
  speculator_->policy()->OnDraftReport(PassesOf(CostsOf(*drafter)));
  if (!speculator_->WantsDrafter()) {
    is_deferred_ = true;
    return false;
  }
  lane_.Open(*drafter,
             {.options = OptionsForDrafter(options, drafter->vocab_size)},
             this);
  return true;
}

void DraftLane::TakeCosts() {
  const WorkerChoice& target = context_->target;
  if (target.link == nullptr) return;
  if (speculator_->policy() != target.link->draft_policy()) {
    speculator_->SetPolicy(target.link->draft_policy());
  }
  const std::shared_ptr<const WorkerCosts> verifying = CostsOf(target);
  const std::shared_ptr<const WorkerCosts> drafting = CostsOf(lane_.worker());
  DraftPolicy& policy = *speculator_->policy();
  policy.OnDraftReport(PassesOf(drafting));
  if (verifying != nullptr) {
    policy.OnTargetReport(PassesOf(verifying),
                          {.sequences = verifying->sequences,
                           .streams = verifying->streams,
                           .takes_turns = verifying->takes_turns});
  }
  context_->turn.SetDraftAhead(
      context_->limits.draft_ahead && verifying != nullptr &&
      !verifying->takes_turns && lane_.is_open() && drafting != nullptr &&
      !drafting->takes_turns &&
      drafting->sequences < context_->limits.draft_ahead_sequences_max);
}

void DraftLane::Propose(ProposeAction propose) {
  const Position end =
      propose.position + static_cast<Position>(propose.tokens.size());
  const Position room = lane_.worker().context_max - end;
  const bool fits = VocabSizeFor(propose.tokens) <= lane_.worker().vocab_size;
  propose.draft_length =
      static_cast<int>(std::min<Position>(propose.draft_length, room));
  if (propose.is_ahead) {
    // One at a time: while an earlier one is computed in vain, there is no
    // sense in another.
    if (lane_.is_open() && lane_.unanswered().empty() && fits &&
        propose.draft_length >= 2) {
      lane_.Propose(std::move(propose));
    }
    return;
  }
  // A drafter with a smaller context or vocabulary only ends drafting.
  if (room < 1 || !fits) return Lose();
  lane_.Propose(std::move(propose));
  timer_ = context_->loop->SetTimer(context_->loop->Now() + Patience(), [this] {
    OnLate();
    owner_->Notify();
  });
}

MonotonicDuration DraftLane::Patience() const {
  const TurnLimits& limits = context_->limits;
  const DraftPolicy& policy = *speculator_->policy();
  // One ahead that is unanswered comes first.
  double expected_us = 0;
  for (const LaneRequest& request : lane_.unanswered()) {
    expected_us += policy.ProposalUs(request.draft_length);
  }
  const MonotonicDuration pass = Micro(policy.RoundUs(DraftSource::kNone, 0));
  return PromptTime() + Micro(expected_us) +
         (expected_us <= 0 ? limits.draft_patience_max
                           : std::clamp(pass, limits.draft_patience_min,
                                        limits.draft_patience_max));
}

// Where the target's prompt takes longer, the drafter has that time too. Both
// have the prompts of others to run. What the target has already counts for
// neither: a drafter that lacks it would keep the first token waiting.
MonotonicDuration DraftLane::PromptTime() const {
  if (lane_.ran_prompt()) return {};
  const Position tokens = std::max<Position>(
      0, lane_.unanswered().back().answer_position - context_->target.cached);
  double longest_us = 0;
  for (const WorkerChoice& worker : {lane_.worker(), context_->target}) {
    const std::shared_ptr<const CostCurve> passes = PassesOf(CostsOf(worker));
    if (passes == nullptr || passes->empty()) {
      return tokens * context_->limits.draft_prefill_per_token;
    }
    const int streams = std::max(1, worker.link->load().streams);
    longest_us = std::max(longest_us, streams * passes->PromptUs(tokens));
  }
  return Micro(longest_us);
}

// The answer may still come: it is dropped then, and only after that the
// drafter is asked again. So a slow drafter has one request, and at most one
// ahead before it.
void DraftLane::OnLate() {
  const int64_t waited_us =
      Micros(context_->loop->Now() - lane_.unanswered().back().sent_at);
  context_->times.rpc_us += waited_us;
  context_->times.wait_us += waited_us;
  // Running the prompt, maybe in turns with the target, says little of
  // drafting.
  if (lane_.ran_prompt()) {
    speculator_->OnDraftLate();
  } else {
    speculator_->SkipTimes();
  }
  lane_.DropUnanswered();
  speculator_->SetModelBusy(true);
  owner_->Perform(context_->turn.OnDraftLate());
}

void DraftLane::OnOpened(const OpenedSequence& /*opened*/) { lane_.OnOpened(); }

void DraftLane::OnAnswer(WorkerAnswer answer) {
  const std::optional<LaneRoundTrip> trip = lane_.Take(answer);
  if (!trip.has_value()) {
    Lose();
    return owner_->Notify();
  }
  std::vector<TokenId> draft;
  for (const SampledToken& token : answer.tokens) draft.push_back(token.id);
  const LaneRequest& request = trip->request;
  if (request.is_ahead) {
    context_->times.draft_us += trip->compute_us;
    if (!request.is_dropped) context_->turn.OnAheadProposed(draft);
    return;
  }
  context_->loop->CancelTimer(&timer_);
  if (request.is_dropped) {
    return speculator_->SetModelBusy(false);
  }
  context_->times.draft_us += trip->compute_us;
  trip->AddTo(&context_->times);
  if (trip->ran_prompt || request.rows > 2) speculator_->SkipTimes();
  speculator_->OnRequest(static_cast<double>(trip->us),
                         static_cast<double>(trip->served_us));
  owner_->Perform(context_->turn.OnProposed(draft));
  owner_->Notify();
}

void DraftLane::OnClosed(const absl::Status& /*status*/) {
  Lose();
  owner_->Notify();
}

void DraftLane::OnVerified(const LaneRoundTrip& trip) {
  TakeCosts();
  if (trip.ran_prompt) speculator_->SkipTimes();
  speculator_->OnRequest(static_cast<double>(trip.us),
                         static_cast<double>(trip.served_us));
  if (is_deferred_ && speculator_->WantsDrafter() && Open()) {
    context_->turn.OnDrafterAttached();
  }
  lane_.DropUnanswered();
}

void DraftLane::Lose() {
  context_->loop->CancelTimer(&timer_);
  lane_.Lose();
  speculator_->SetDrafter(std::nullopt);
  speculator_->SetModelBusy(false);
  owner_->Perform(context_->turn.OnDrafterLost());
}

}  // namespace tandem
