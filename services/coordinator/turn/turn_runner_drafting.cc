// The part of a TurnRunner that deals with its drafter: when one is opened,
// what it is asked, and for how long its answers are waited for.

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "services/coordinator/turn/turn_runner.h"

namespace tandem {
namespace {

// Rounds between looks at whether a deferred drafter can be afforded.
constexpr int kOpeningEveryRounds = 16;

// Of a vocabulary that has all of the ids, the least size.
int VocabSizeFor(absl::Span<const TokenId> tokens) {
  const auto largest = std::max_element(tokens.begin(), tokens.end());
  return largest == tokens.end() ? 0 : *largest + 1;
}

}  // namespace

bool TurnRunner::OpenDrafter() {
  if (!MayUseModel(setup_.spec.options)) return false;
  const std::vector<TokenId> tokens = turn_->session_tokens();
  const std::optional<WorkerChoice> drafter = directory_->PickDrafter(
      {.vocabulary_fingerprint = vocabulary_fingerprint_,
       .vocab_size_min = VocabSizeFor(tokens),
       .context_min = static_cast<Position>(tokens.size()),
       .need = NeedOf(setup_.last_drafter, tokens)});
  drafter_deferred_ = false;
  if (!drafter.has_value()) return false;
  drafter_found_ = true;
  // A fixed length is wanted whether it pays or not, and what is not known is
  // found out.
  const std::shared_ptr<const WorkerCosts> costs = drafter->link->costs();
  if (costs != nullptr) {
    const double prompt_us = costs->passes.PromptUs(
        static_cast<double>(tokens.size()) - drafter->cached);
    if (!opening_us_.has_value()) opening_us_ = prompt_us;
    if (!setup_.spec.options.draft_length.has_value()) {
      controller_.cost().SetDraft(costs->passes, costs->sequences);
      if (!controller_.TakeOpening(prompt_us)) {
        drafter_deferred_ = true;
        return false;
      }
    }
  }
  OpenLane(*drafter, /*is_target=*/false, &drafter_);
  return true;
}

void TurnRunner::OpenDeferredDrafter() {
  if (--rounds_to_opening_ > 0) return;
  rounds_to_opening_ = kOpeningEveryRounds;
  if (drafter_deferred_ && OpenDrafter()) turn_->OnDrafterAttached();
}

DraftController TurnRunner::TakeController() {
  const auto generated = static_cast<int64_t>(turn_->generated().size());
  if (opening_us_.has_value() && generated > 0) {
    controller_.OnTurn(*std::exchange(opening_us_, std::nullopt), generated);
  }
  DraftController taken = controller_;
  controller_.AddOpeningCredit(-controller_.opening_credit_us());
  return taken;
}

void TurnRunner::SendPropose(ProposeAction propose) {
  const Position end =
      propose.position + static_cast<Position>(propose.tokens.size());
  // A drafter with a smaller context only ends drafting.
  const Position room = drafter_.context_max - end;
  if (room < 1 || VocabSizeFor(propose.tokens) > drafter_.vocab_size) {
    return LoseDrafter();
  }
  propose.draft_length =
      static_cast<int>(std::min<Position>(propose.draft_length, room));
  // Where the first request follows `open`, the prompt is run first.
  const Position prefill = drafter_.opened ? 0 : end;
  drafter_.outstanding = true;
  drafter_.expected = end;
  drafter_.sent_at = loop_->Now();
  drafter_.rows = static_cast<int>(propose.tokens.size());
  drafter_.draft_length = propose.draft_length;
  if (drafter_.ran_prompt && controller_.cost().draft_known()) {
    double expected_us = controller_.cost().ProposalUs(propose.draft_length);
    if (drafter_.ahead.has_value()) {  // comes first
      expected_us +=
          controller_.cost().ProposalUs(drafter_.ahead->draft_length);
    }
    const auto expected = std::chrono::duration_cast<MonotonicDuration>(
        std::chrono::duration<double, std::micro>(expected_us));
    SetDraftTimer(std::max(limits_.draft_patience * expected,
                           expected + limits_.draft_patience_min),
                  &TurnRunner::OnDraftLate);
  } else {
    SetDraftTimer(limits_.draft_round_deadline +
                      prefill * limits_.draft_prefill_per_token,
                  &TurnRunner::OnDraftLate);
  }
  drafter_.stream->Propose(std::move(propose));
}

// One at a time: while an earlier one is computed in vain, there is no sense in
// another.
void TurnRunner::SendAhead(ProposeAction propose) {
  if (drafter_.stream == nullptr || drafter_.ahead.has_value() ||
      VocabSizeFor(propose.tokens) > drafter_.vocab_size) {
    return;
  }
  const Position end =
      propose.position + static_cast<Position>(propose.tokens.size());
  propose.draft_length = static_cast<int>(
      std::min<Position>(propose.draft_length, drafter_.context_max - end));
  if (propose.draft_length < 2) return;
  drafter_.ahead = {.expected = end,
                    .sent_at = loop_->Now(),
                    .draft_length = propose.draft_length};
  drafter_.stream->Propose(std::move(propose));
}

bool TurnRunner::TakeAhead(const StreamTag& tag,
                           const ProposedTokens& proposed) {
  if (!active() || drafter_.stream == nullptr || !(tag == drafter_.tag) ||
      !drafter_.ahead.has_value() ||
      proposed.position != drafter_.ahead->expected) {
    return false;
  }
  const Lane::Ahead ahead = *drafter_.ahead;
  drafter_.ahead.reset();
  times_.draft_us += std::clamp<int64_t>(proposed.compute_us, 0,
                                         Micros(loop_->Now() - ahead.sent_at));
  if (!ahead.is_dropped) turn_->OnAheadProposed(proposed.tokens);
  return true;
}

void TurnRunner::SetDraftTimer(MonotonicDuration since_sent,
                               void (TurnRunner::*then)()) {
  draft_timer_ = loop_->SetTimer(drafter_.sent_at + since_sent, [this, then] {
    (this->*then)();
    Notify();
  });
}

// The answer may still come: it is dropped by its position, and only then the
// drafter is asked again. So a slow drafter has one request, and at most one
// ahead before it.
void TurnRunner::OnDraftLate() {
  drafter_.late = true;
  const int64_t waited_us = Micros(loop_->Now() - drafter_.sent_at);
  times_.rpc_us += waited_us;
  times_.wait_us += waited_us;
  speculator_->SetModelBusy(true);
  // Running the prompt, maybe in turns with the target, says little of
  // drafting.
  if (drafter_.ran_prompt) {
    speculator_->OnDraftLate(drafter_.draft_length, drafter_.rows,
                             static_cast<double>(waited_us));
  }
  const MonotonicDuration deadline = drafter_.ran_prompt
                                         ? limits_.draft_round_deadline
                                         : limits_.draft_prompt_deadline;
  if (deadline > loop_->Now() - drafter_.sent_at) {
    SetDraftTimer(deadline, &TurnRunner::LoseDrafter);
    Perform(turn_->OnDraftLate());
  } else {
    LoseDrafter();
  }
}

void TurnRunner::OnProposed(const StreamTag& tag, ProposedTokens proposed) {
  if (TakeAhead(tag, proposed)) return;
  if (!IsAnswer(drafter_, tag, proposed.position)) return;
  loop_->CancelTimer(&draft_timer_);
  if (std::exchange(drafter_.late, false)) {
    drafter_.outstanding = false;
    speculator_->SetModelBusy(false);
    if (std::exchange(drafter_.ran_prompt, true)) {
      controller_.cost().OnProposed(
          drafter_.draft_length, drafter_.rows,
          static_cast<double>(Micros(loop_->Now() - drafter_.sent_at)),
          /*served_us=*/0);
    }
    return;
  }
  const std::optional<RoundTrip> trip = TakeAnswer(
      &drafter_,
      {.compute_us = proposed.compute_us, .served_us = proposed.served_us});
  if (trip.has_value()) {
    speculator_->OnProposed(static_cast<int>(proposed.tokens.size()),
                            drafter_.rows, trip->us, trip->served_us);
  }
  Perform(turn_->OnProposed(proposed.tokens));
  Notify();
}

void TurnRunner::LoseDrafter() {
  loop_->CancelTimer(&draft_timer_);
  drafter_ = Lane();
  last_drafter_.clear();
  speculator_->SetModelBusy(false);
  Perform(turn_->OnDrafterLost());
}

}  // namespace tandem
