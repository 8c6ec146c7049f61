#include "engine/speculation/speculator.h"

#include <algorithm>
#include <utility>

namespace tandem {

int DraftLengthMax(const GenOptions& options) {
  return options.draft_length.value_or(options.draft_length_max);
}

bool MayUseModel(const GenOptions& options) {
  return DraftLengthMax(options) > 0 &&
         options.draft_sources != DraftSources::kLookup;
}

Speculator::Speculator(DraftController* controller, const GenOptions& options)
    : controller_(controller),
      is_fixed_(options.draft_length.has_value()),
      length_max_(DraftLengthMax(options)),
      sources_(options.draft_sources) {}

DraftPlan Speculator::PlanRound(const RoundRoom& room) {
  round_ = {};
  const int length_max = std::min(room.length_max, length_max_);
  if (length_max < 1) return {};
  DraftController::Room choices;
  if (sources_ != DraftSources::kLookup && !model_busy_) {
    choices.model_max = std::min(room.model_max, length_max);
  }
  NgramDrafter::Match match;
  // A fixed length is the draft model's where there is one.
  const bool may_look_up =
      sources_ != DraftSources::kModel && !(is_fixed_ && choices.model_max > 0);
  if (may_look_up) {
    const size_t prompt = room.prompt.size();
    const size_t tokens = prompt + room.generated.size();
    // Of a long prompt the last part only: what is further back is forgotten
    // anyway, and an event loop has no time for it.
    if (tokens - known_ > NgramDrafter::kWindow) {
      known_ = tokens - NgramDrafter::kWindow;
    }
    for (; known_ < tokens; ++known_) {
      ngrams_.Append(known_ < prompt ? room.prompt[known_]
                                     : room.generated[known_ - prompt]);
    }
    match = ngrams_.Find();
    if (match.length > 0) {
      choices.lookup_max = length_max;
      choices.lookup_match = match.length;
    }
  }
  DraftController::Choice choice;
  if (!is_fixed_) {
    choice = controller_->Choose(choices);
  } else if (choices.model_max > 0) {
    choice = {.source = DraftSource::kModel,
              .length = choices.model_max,
              .is_probe = false};
  } else if (choices.lookup_max > 0) {
    choice = {.source = DraftSource::kLookup,
              .length = choices.lookup_max,
              .is_probe = false};
  }
  round_.source = choice.source;
  round_.lookup_match = match.length;
  DraftPlan plan{.source = choice.source};
  if (choice.source == DraftSource::kModel) plan.length = choice.length;
  if (choice.source == DraftSource::kLookup) {
    plan.draft = ngrams_.Draft(match, choice.length);
  }
  return plan;
}

void Speculator::OnRound(int drafted, int accepted) {
  // A drafter that had nothing to say, or said it too late.
  if (drafted == 0) round_.source = DraftSource::kNone;
  round_.drafted = drafted;
  round_.accepted = accepted;
  controller_->OnRound(std::exchange(round_, {}));
}

void Speculator::OnProposed(int length, int rows, double us, double served_us) {
  controller_->cost().OnProposed(length, rows, us, served_us);
  round_.us += us;
}

void Speculator::OnVerified(int drafted, double us, double served_us) {
  controller_->cost().OnVerified(drafted, us, served_us);
  round_.us += us;
}

void Speculator::OnDraftLate(int length, int rows, double us) {
  OnProposed(length, rows, us, /*served_us=*/0);
}

}  // namespace tandem
