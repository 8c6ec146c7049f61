#include "engine/speculation/speculator.h"

#include <algorithm>
#include <utility>

namespace tandem {
namespace {

constexpr const auto& kLookupPriors = RowOf(DraftSource::kLookup).priors;

}  // namespace

int DraftLengthMax(const GenOptions& options) {
  return options.draft_length.value_or(options.draft_length_max);
}

bool MayUseModel(const GenOptions& options) {
  return DraftLengthMax(options) > 0 &&
         options.draft_sources != DraftSources::kLookup;
}

Speculator::Speculator(std::shared_ptr<DraftPolicy> policy,
                       const GenOptions& options)
    : policy_(std::move(policy)),
      is_fixed_(options.draft_length.has_value()),
      length_max_(DraftLengthMax(options)),
      sources_(options.draft_sources),
      lookup_({Acceptance(kLookupPriors[0]), Acceptance(kLookupPriors[1]),
               Acceptance(kLookupPriors[2])}) {}

Speculator::~Speculator() {
  policy_->OnTurn(&seat_, first_lacking_,
                  has_drafter_ ? tokens_ - first_tokens_.value_or(tokens_) : 0);
}

void Speculator::SetPolicy(std::shared_ptr<DraftPolicy> policy) {
  policy_->Leave(&seat_);
  policy_ = std::move(policy);
}

void Speculator::SetDrafter(std::optional<int64_t> cached) {
  // Another session may find out what drafts cost; this one can not.
  if (!cached.has_value()) policy_->Leave(&seat_);
  has_drafter_ = cached.has_value();
  drafter_has_ = cached.value_or(0);
}

bool Speculator::WantsDrafter() {
  return is_fixed_ ? length_max_ > 0 : policy_->WantsDrafter(&seat_);
}

DraftPlan Speculator::PlanRound(const RoundRoom& room) {
  round_ = {.seen = {.follows = false}};
  tokens_ = static_cast<int64_t>(room.prompt.size() + room.generated.size());
  const int length_max = std::min(room.length_max, length_max_);
  if (length_max < 1) return {};
  DraftPlan plan;
  round_.planned = PlanModel(room, length_max);
  if (round_.planned > 0) {
    plan = {.source = DraftSource::kModel, .length = round_.planned};
  }
  const NgramDrafter::Match match = LookUp(room);
  if (match.length > 0) {
    round_.run_class = match.length - NgramDrafter::kShortestRun;
    const int length = PlanLookup(round_.run_class, round_.planned, length_max);
    if (length > 0) {
      plan = {.source = DraftSource::kLookup,
              .draft = ngrams_.Draft(match, length)};
    }
  }
  round_.seen.source = plan.source;
  if (plan.source == DraftSource::kModel) drafter_has_ = tokens_;
  return plan;
}

int Speculator::PlanModel(const RoundRoom& room, int length_max) {
  if (sources_ == DraftSources::kLookup) return 0;
  int length = length_max;
  has_drafter_ = has_drafter_ || room.model_max > 0;
  if (!is_fixed_ && has_drafter_) {
    const int64_t lacking = std::max<int64_t>(tokens_ - drafter_has_, 0);
    if (!first_tokens_.has_value()) {
      first_tokens_ = tokens_;
      first_lacking_ = lacking;
    }
    round_.seen.follows = true;
    length = policy_->PlanRound(&seat_, lacking);
  }
  return model_busy_ ? 0 : std::min({length, length_max, room.model_max});
}

NgramDrafter::Match Speculator::LookUp(const RoundRoom& room) {
  // A fixed length is the draft model's where there is one.
  if (sources_ == DraftSources::kModel || (is_fixed_ && round_.planned > 0)) {
    return {};
  }
  const size_t tokens = static_cast<size_t>(tokens_);
  // Of a long prompt the last part only: what is further back is forgotten
  // anyway, and an event loop has no time for it.
  if (tokens - known_ > NgramDrafter::kWindow) {
    known_ = tokens - NgramDrafter::kWindow;
  }
  for (; known_ < tokens; ++known_) {
    ngrams_.Append(known_ < room.prompt.size()
                       ? room.prompt[known_]
                       : room.generated[known_ - room.prompt.size()]);
  }
  return ngrams_.Find();
}

int Speculator::PlanLookup(int run_class, int model_length, int length_max) {
  if (is_fixed_) return length_max;
  const double plan_us = policy_->RoundUs(
      model_length > 0 ? DraftSource::kModel : DraftSource::kNone,
      model_length);
  // Before any cost is known.
  if (plan_us <= 0) return std::min(DraftPolicy::kFirstLength, length_max);
  double best_rate = policy_->ExpectedTokens(model_length) / plan_us;
  int best = 0;
  for (int length = 1; length <= length_max; ++length) {
    const double rate = (1 + lookup_[run_class].Expected(length)) /
                        policy_->RoundUs(DraftSource::kLookup, length);
    if (rate > best_rate) {
      best_rate = rate;
      best = length;
    }
  }
  if (best > 0) return best;
  // What is not tried for long is tried again, where there is time for it.
  const double probe_us = policy_->RoundUs(DraftSource::kLookup, 1);
  if (rounds_ - lookup_seen_[run_class] < DraftPolicy::kLately ||
      credit_us_ < probe_us) {
    return 0;
  }
  credit_us_ -= probe_us;
  return 1;
}

void Speculator::OnRequest(double us, double served_us) {
  round_.seen.us += us;
  round_.seen.served_us += served_us;
}

void Speculator::OnRound(int drafted, int accepted) {
  ++rounds_;
  credit_us_ += DraftPolicy::kProbeShare * round_.seen.us;
  for (Acceptance& lookup : lookup_) lookup.Age();
  if (round_.seen.source == DraftSource::kLookup) {
    lookup_seen_[round_.run_class] = rounds_;
    lookup_[round_.run_class].Add(drafted, accepted);
  }
  // A drafter that had nothing to say, or said it too late.
  if (drafted == 0) {
    round_.seen.source =
        round_.is_late ? DraftSource::kModel : DraftSource::kNone;
  }
  round_.seen.drafted = round_.is_late ? round_.planned : drafted;
  round_.seen.accepted = accepted;
  if (!round_.is_timed || round_.is_late) round_.seen.us = 0;
  policy_->OnRound(&seat_, std::exchange(round_.seen, {}));
}

}  // namespace tandem
