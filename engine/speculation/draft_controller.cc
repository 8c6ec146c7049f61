#include "engine/speculation/draft_controller.h"

#include <algorithm>
#include <optional>

namespace tandem {

int DraftController::MatchClass(int lookup_match) {
  if (lookup_match <= 2) return 0;
  if (lookup_match == 3) return 1;
  return lookup_match < 8 ? 2 : 3;
}

Acceptance DraftController::Of(DraftSource source, int lookup_match) const {
  return source == DraftSource::kLookup ? lookup_[MatchClass(lookup_match)]
                                        : ModelAcceptance();
}

double DraftController::RoundUs(DraftSource source, int length) const {
  const double draft_us =
      source == DraftSource::kModel ? cost_.DraftUs(length) : 0;
  return draft_us + cost_.VerifyUs(length);
}

double DraftController::Rate(DraftSource source, int length,
                             int lookup_match) const {
  return RateOf(source, length, Of(source, lookup_match));
}

double DraftController::RateOf(DraftSource source, int length,
                               const Acceptance& acceptance) const {
  const double tokens = 1 + acceptance.Expected(length);
  // Costs of zero are possible where clocks are coarse.
  return tokens / std::max(RoundUs(source, length), 1e-3);
}

double DraftController::OpeningUsPerToken() const {
  // Where the drafter computes a prompt nobody else does.
  if (!agrees() || !cost_.takes_turns()) return 0;
  return accord_->OpeningUsPerToken() * cost_.sequences();
}

double DraftController::SteadyRate(int length, const Acceptance& acceptance,
                                   double opening_us_per_token) const {
  const double rate = RateOf(DraftSource::kModel, length, acceptance);
  if (length == 0) {
    return rate * (cost_.is_shared() ? kSharedPlainAdvantage : kPlainAdvantage);
  }
  return rate / (1 + rate * opening_us_per_token);
}

int DraftController::SteadyLength(int model_max) {
  if (agrees()) return AgreedLength(model_max);
  const int current = std::min(length_, model_max);
  int best = 0;
  double best_rate = 0;
  for (int length = 0; length <= model_max; ++length) {
    const double rate = SteadyRate(length, model_, 0);
    if (rate > best_rate) {
      best = length;
      best_rate = rate;
    }
  }
  if (best_rate <= (1 + kHysteresis) * SteadyRate(current, model_, 0)) {
    return current;
  }
  length_ = best;
  return best;
}

int DraftController::AgreedLength(int model_max) {
  const std::optional<int> agreed = accord_->length();
  const int64_t rounds = std::min(rounds_ - weighed_, kRoundsWeighed);
  if (rounds_ >= kRoundsToAgree && model_max > 0 && rounds > 0) {
    const Acceptance acceptance = accord_->acceptance();
    const double opening_us = OpeningUsPerToken();
    const double rate = SteadyRate(agreed.value_or(0), acceptance, opening_us);
    // Of lengths that it has no room for it says nothing.
    DraftAccord::Gains gains = {};
    for (int length = 0; length <= model_max; ++length) {
      gains[length] =
          SteadyRate(length, acceptance, opening_us) / rate - 1 - kHysteresis;
    }
    accord_->Weigh(agreed, gains, static_cast<double>(rounds),
                   cost_.sequences());
    weighed_ = rounds_;
  }
  length_ = accord_->length().value_or(length_);
  return std::min(length_, model_max);
}

DraftController::Choice DraftController::Choose(const Room& room) {
  probing_ = false;
  Choice choice;
  const bool model_known = cost_.known() && cost_.draft_known();
  choice.length = model_known || room.model_max == 0
                      ? SteadyLength(room.model_max)
                      : std::min(kFirstLength, room.model_max);
  if (choice.length > 0) choice.source = DraftSource::kModel;
  if (!cost_.known()) {
    if (choice.length > 0 || room.lookup_max == 0) return choice;
    return {.source = DraftSource::kLookup,
            .length = std::min(kFirstLength, room.lookup_max),
            .is_probe = false};
  }
  if (room.model_max > 0 && !model_known) return choice;

  const double lately_rate = lately_us_ > 0 ? lately_tokens_ / lately_us_ : 0;
  const Acceptance acceptance = ModelAcceptance();
  const double opening_us = OpeningUsPerToken();
  if (lately_rate >
      kFasterElsewhere * SteadyRate(choice.length, acceptance, opening_us)) {
    choice.length = LengthWorth(choice.length, lately_rate);
    if (choice.length == 0) choice.source = DraftSource::kNone;
  }
  double best_rate = SteadyRate(choice.length, acceptance, opening_us);
  const Acceptance& lookup = lookup_[MatchClass(room.lookup_match)];
  for (int length = 1; length <= room.lookup_max; ++length) {
    const double rate = RateOf(DraftSource::kLookup, length, lookup);
    if (rate <= best_rate) continue;
    best_rate = rate;
    choice = {
        .source = DraftSource::kLookup, .length = length, .is_probe = false};
  }
  Probe(room, Rate(choice.source, choice.length, room.lookup_match), &choice);
  return choice;
}

int DraftController::LengthWorth(int model_max, double rate) const {
  const Acceptance acceptance = ModelAcceptance();
  int best = 0;
  double best_gain = 0;
  for (int length = 1; length <= model_max; ++length) {
    const double gain =
        acceptance.Expected(length) -
        rate * (RoundUs(DraftSource::kModel, length) - cost_.VerifyUs(0));
    if (gain <= best_gain) continue;
    best = length;
    best_gain = gain;
  }
  return best;
}

// Whether the source could be better than `rate` if most of its drafts were
// right.
bool DraftController::MayPay(DraftSource source, int length_max,
                             double rate) const {
  double tokens = 1;
  double all_right = 1;
  for (int length = 1; length <= length_max; ++length) {
    all_right *= kHopefulChance;
    tokens += all_right;
    if (tokens / RoundUs(source, length) > rate) return true;
  }
  return false;
}

void DraftController::Probe(const Room& room, double rate, Choice* choice) {
  // Any round brings one token.
  const double token_us = 1 / rate;
  double worth_us = token_us;
  Choice probe;
  int64_t longest_unseen = 0;
  const auto consider = [&](DraftSource source, int length,
                            int64_t rounds_unseen) {
    if (rounds_unseen <= longest_unseen) return;
    longest_unseen = rounds_unseen;
    probe = {.source = source, .length = length, .is_probe = true};
  };
  if (choice->source != DraftSource::kModel && room.model_max > 0 &&
      MayPay(DraftSource::kModel, room.model_max, rate)) {
    consider(DraftSource::kModel, std::min(kProbeLength, room.model_max),
             rounds_ - model_seen_);
  }
  if (choice->source != DraftSource::kLookup && room.lookup_max > 0 &&
      MayPay(DraftSource::kLookup, room.lookup_max, rate)) {
    consider(DraftSource::kLookup, std::min(kProbeLength, room.lookup_max),
             rounds_ - lookup_seen_[MatchClass(room.lookup_match)]);
  }
  if (choice->source != DraftSource::kNone &&
      rounds_ - plain_seen_ >= kPlainEveryRounds) {
    consider(DraftSource::kNone, 0, rounds_ - plain_seen_);
  }
  if (choice->source == DraftSource::kModel &&
      room.model_max > choice->length &&
      rounds_ - longer_seen_ >= kLongerEveryRounds) {
    consider(DraftSource::kModel, choice->length + 1, rounds_ - longer_seen_);
    // It brings all that the usual length does.
    if (probe.length > choice->length) {
      worth_us = RoundUs(DraftSource::kModel, choice->length);
    }
  }
  if (!probe.is_probe) return;
  const double spent_us = RoundUs(probe.source, probe.length) - worth_us;
  if (SharedUs(spent_us) > credit_us_) return;
  *choice = probe;
  probing_ = true;
  worth_us_ = worth_us;
  token_us_ = token_us;
}

void DraftController::OnRound(const Round& round) {
  ++rounds_;
  model_.Age();
  for (Acceptance& lookup : lookup_) lookup.Age();
  switch (round.source) {
    case DraftSource::kNone:
      plain_seen_ = rounds_;
      break;
    case DraftSource::kModel:
      model_seen_ = rounds_;
      if (round.drafted > length_) longer_seen_ = rounds_;
      model_.Add(round.drafted, round.accepted);
      if (agrees()) accord_->Add(round.drafted, round.accepted);
      break;
    case DraftSource::kLookup: {
      const int match_class = MatchClass(round.lookup_match);
      lookup_seen_[match_class] = rounds_;
      lookup_[match_class].Add(round.drafted, round.accepted);
      break;
    }
  }
  if (round.us > 0) {
    const double older = 1 - 1 / kLatelyRounds;
    lately_tokens_ = older * lately_tokens_ + 1 + round.accepted;
    lately_us_ = older * lately_us_ + round.us;
  }
  total_us_ += round.us;
  opening_credit_us_ += kProbeShare * round.us;
  credit_us_ = std::min(credit_us_ + kProbeShare * round.us,
                        SharedUs(kProbeCreditRounds * cost_.VerifyUs(0)));
  if (probing_) {
    const double brought_us = token_us_ * (1 + kProbeWorth * round.accepted);
    const double spent_us =
        std::max(round.us - std::max(worth_us_, brought_us), 0.0);
    probe_us_ += spent_us;
    credit_us_ -= SharedUs(spent_us);
    probing_ = false;
  }
}

void DraftController::OnTurn(double opening_us, int64_t tokens) {
  if (accord_ != nullptr) accord_->AddTurn(opening_us, tokens);
}

bool DraftController::TakeOpening(double prompt_us) {
  // What is known of passes now may say something else than the last rounds.
  if (cost_.known() && cost_.draft_known()) SteadyLength(kDraftLengthLimit);
  if (length_ > 0) return true;
  if (opening_credit_us_ < SharedUs(prompt_us)) return false;
  opening_credit_us_ -= SharedUs(prompt_us);
  return true;
}

DraftController DraftController::Softened() const {
  DraftController softened;
  softened.model_ = model_;
  softened.model_.Soften();
  softened.lookup_ = lookup_;
  for (Acceptance& lookup : softened.lookup_) lookup.Soften();
  softened.length_ = length_;
  return softened;
}

}  // namespace tandem
