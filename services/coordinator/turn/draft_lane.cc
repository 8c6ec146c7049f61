#include "services/coordinator/turn/draft_lane.h"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "engine/sampling/draft_options.h"

namespace tandem {
namespace {

// Rounds between looks at whether a deferred drafter can be afforded.
constexpr int kOpeningEveryRounds = 16;

// The least size of a vocabulary that has all of the ids.
int VocabSizeFor(absl::Span<const TokenId> tokens) {
  const auto largest = std::max_element(tokens.begin(), tokens.end());
  return largest == tokens.end() ? 0 : *largest + 1;
}

std::shared_ptr<const WorkerCosts> CostsOf(const WorkerChoice& worker) {
  return worker.link == nullptr ? nullptr : worker.link->costs();
}

}  // namespace

DraftLane::DraftLane(TurnContext* context, LaneOwner* owner)
    : context_(context),
      owner_(owner),
      lane_(context),
      controller_(context->setup.controller) {
  lane_.SetLastWorker(context->setup.last_drafter.name);
}

bool DraftLane::Start() {
  TakeCosts();
  const bool is_open = Open();
  speculator_ =
      std::make_unique<Speculator>(&controller_, context_->turn.options());
  TakeCosts();
  return is_open;
}

void DraftLane::Close() {
  lane_.Close();
  speculator_.reset();
  target_costs_.reset();
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
  if (!drafter.has_value()) return false;
  found_ = true;
  // A fixed length is wanted whether it pays or not, and what is not known is
  // found out.
  const std::shared_ptr<const WorkerCosts> costs = drafter->link->costs();
  if (costs != nullptr) {
    const double prompt_us = costs->passes.PromptUs(
        static_cast<double>(tokens.size()) - drafter->cached);
    if (!opening_us_.has_value()) opening_us_ = prompt_us;
    if (!options.draft_length.has_value()) {
      controller_.cost().SetDraft(costs->passes, costs->sequences);
      if (!controller_.TakeOpening(prompt_us)) {
        is_deferred_ = true;
        return false;
      }
    }
  }
  costs_.reset();
  lane_.Open(*drafter,
             {.options = OptionsForDrafter(options, drafter->vocab_size)},
             this);
  return true;
}

void DraftLane::OpenDeferred() {
  if (--rounds_to_opening_ > 0) return;
  rounds_to_opening_ = kOpeningEveryRounds;
  if (is_deferred_ && Open()) context_->turn.OnDrafterAttached();
}

DraftController DraftLane::TakeController() {
  const int64_t generated = context_->turn.usage().generated_tokens;
  if (opening_us_.has_value() && generated > 0) {
    controller_.OnTurn(*std::exchange(opening_us_, std::nullopt), generated);
  }
  DraftController taken = controller_;
  controller_.AddOpeningCredit(-controller_.opening_credit_us());
  return taken;
}

void DraftLane::TakeCosts() {
  const WorkerChoice& target = context_->target;
  DraftPriors* const priors = context_->setup.draft_priors;
  if (priors != nullptr && target.link != nullptr &&
      target.name != target_name_) {
    target_name_ = target.name;
    controller_.Join(priors->AccordOf(target.name));
  }
  const auto is_new = [](std::shared_ptr<const WorkerCosts> newest,
                         std::shared_ptr<const WorkerCosts>* known) {
    if (newest == nullptr || newest == *known) return false;
    *known = std::move(newest);
    return true;
  };
  if (is_new(CostsOf(target), &target_costs_)) {
    controller_.cost().SetTarget(target_costs_->passes,
                                 {.sequences = target_costs_->sequences,
                                  .streams = target_costs_->streams,
                                  .takes_turns = target_costs_->takes_turns});
  }
  if (is_new(CostsOf(lane_.worker()), &costs_)) {
    controller_.cost().SetDraft(costs_->passes, costs_->sequences);
  }
  context_->turn.SetDraftAhead(
      context_->limits.draft_ahead && target_costs_ != nullptr &&
      !target_costs_->takes_turns && lane_.is_open() && costs_ != nullptr &&
      !costs_->takes_turns &&
      costs_->sequences < context_->limits.draft_ahead_sequences_max);
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
  SetTimer(Patience(), &DraftLane::OnLate);
}

MonotonicDuration DraftLane::Patience() const {
  const TurnLimits& limits = context_->limits;
  if (!lane_.ran_prompt() || !controller_.cost().draft_known()) {
    // Where the first request follows `open`, the prompt is run first.
    const Position prefill =
        lane_.is_confirmed() ? 0 : lane_.unanswered().back().answer_position;
    return limits.draft_round_deadline +
           prefill * limits.draft_prefill_per_token;
  }
  // One ahead that is unanswered comes first.
  double expected_us = 0;
  for (const LaneRequest& request : lane_.unanswered()) {
    expected_us += controller_.cost().ProposalUs(request.draft_length);
  }
  const auto expected = std::chrono::duration_cast<MonotonicDuration>(
      std::chrono::duration<double, std::micro>(expected_us));
  return std::max(limits.draft_patience * expected,
                  expected + limits.draft_patience_min);
}

void DraftLane::SetTimer(MonotonicDuration since_sent,
                         void (DraftLane::*then)()) {
  timer_ = context_->loop->SetTimer(
      lane_.unanswered().back().sent_at + since_sent, [this, then] {
        (this->*then)();
        owner_->Notify();
      });
}

// The answer may still come: it is dropped then, and only after that the
// drafter is asked again. So a slow drafter has one request, and at most one
// ahead before it.
void DraftLane::OnLate() {
  const LaneRequest request = lane_.unanswered().back();
  const MonotonicDuration waited = context_->loop->Now() - request.sent_at;
  context_->times.rpc_us += Micros(waited);
  context_->times.wait_us += Micros(waited);
  // Running the prompt, maybe in turns with the target, says little of
  // drafting.
  if (lane_.ran_prompt()) {
    speculator_->OnDraftLate(request.draft_length, request.rows,
                             static_cast<double>(Micros(waited)));
  }
  const MonotonicDuration deadline =
      lane_.ran_prompt() ? context_->limits.draft_round_deadline
                         : context_->limits.draft_prompt_deadline;
  if (waited >= deadline) return Lose();
  lane_.DropUnanswered();
  speculator_->SetModelBusy(true);
  SetTimer(deadline, &DraftLane::Lose);
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
    speculator_->SetModelBusy(false);
    if (!trip->ran_prompt) {
      controller_.cost().OnProposed(request.draft_length, request.rows,
                                    static_cast<double>(trip->us),
                                    /*served_us=*/0);
    }
    return;
  }
  context_->times.draft_us += trip->compute_us;
  trip->AddTo(&context_->times);
  if (!trip->ran_prompt) {
    speculator_->OnProposed(static_cast<int>(draft.size()), request.rows,
                            static_cast<double>(trip->us),
                            static_cast<double>(trip->served_us));
  }
  owner_->Perform(context_->turn.OnProposed(draft));
  owner_->Notify();
}

void DraftLane::OnClosed(const absl::Status& /*status*/) {
  Lose();
  owner_->Notify();
}

void DraftLane::OnVerified(const LaneRoundTrip& trip) {
  TakeCosts();
  if (!trip.ran_prompt) {
    speculator_->OnVerified(trip.request.draft_length,
                            static_cast<double>(trip.us),
                            static_cast<double>(trip.served_us));
  }
  OpenDeferred();
  lane_.DropUnanswered();
}

void DraftLane::Lose() {
  context_->loop->CancelTimer(&timer_);
  lane_.Lose();
  costs_.reset();
  speculator_->SetModelBusy(false);
  owner_->Perform(context_->turn.OnDrafterLost());
}

}  // namespace tandem
