#include "engine/speculation/draft_policy.h"

#include <algorithm>
#include <utility>

namespace tandem {
namespace {

// At most: one half of the sessions drafts while the other is verified.
constexpr double kHalves = 2;

}  // namespace

void DraftPolicy::OnTargetReport(std::shared_ptr<const CostCurve> passes,
                                 const TargetSharing& sharing) {
  const absl::MutexLock lock(&mutex_);
  if (passes == nullptr || passes->empty() || passes == target_) return;
  target_ = std::move(passes);
  const double sequences = std::max(sharing.sequences, 1.0);
  sequences_ = std::max<double>(
      own_sessions_,
      std::clamp(sharing.streams, sequences, kHalves * sequences));
  takes_turns_ = sharing.takes_turns;
  passes_ = takes_turns_ ? 1 : std::min(sequences_ / sequences, kHalves);
  Decide();
}

void DraftPolicy::OnDraftReport(std::shared_ptr<const CostCurve> passes) {
  const absl::MutexLock lock(&mutex_);
  if (passes == nullptr || passes->empty() || passes == draft_) return;
  draft_ = std::move(passes);
  if (!decided_) Decide();
}

double DraftPolicy::TargetUs(int length) const {
  const double drafts = seen_.follow_share * length +
                        (1 - seen_.follow_share) * seen_.others_length;
  const double passes = drafts > 0 ? passes_ : 1;
  return passes * target_->At(sequences_ / passes * (1 + drafts));
}

double DraftPolicy::DraftUs(int length) const {
  // The target waits for drafts of others too where it shares their cores.
  const double others =
      takes_turns_ && seen_.others_drafted >= 0.5 ? seen_.others_drafted : 0;
  const double most = std::max<double>(length, others);
  if (most <= 0) return 0;
  double drafting = sequences_ / passes_;
  if (length == 0) drafting *= 1 - seen_.follow_share;
  if (others <= 0) drafting *= seen_.follow_share;
  // After a draft that was right to its end the drafter lacks two tokens.
  const double first_rows = drafting * (1 + acceptance_.AllRight(length));
  const double us =
      draft_->At(first_rows) + std::max(most - 1, 0.0) * draft_->At(drafting);
  return std::max(us - (1 - 1 / passes_) * TargetUs(length), 0.0);
}

double DraftPolicy::UsOf(DraftSource source, int length) const {
  if (!RowOf(source).has_drafter) return TargetUs(length) + seen_.transport_us;
  const double us = DraftUs(length) + TargetUs(length) + seen_.transport_us;
  return length == 0 ? us
                     : us + seen_.transport_us + seen_.waiting * TargetUs(0);
}

double DraftPolicy::Rate(int length, double accepted) const {
  double us = UsOf(DraftSource::kModel, length);
  if (length > 0 && seen_.turns_generated > 0) {
    // Where the target waits while the drafter runs a prompt, all sessions do.
    const double waiting = takes_turns_ ? seen_.follow_share * sequences_ : 1;
    us += waiting * (1 + accepted) *
          draft_->PromptUs(seen_.turns_lacking / seen_.turns_generated);
  }
  const double others =
      acceptance_.Expected(static_cast<int>(seen_.others_length + 0.5));
  const double tokens =
      1 + seen_.follow_share * accepted + (1 - seen_.follow_share) * others;
  // Costs of zero are possible where clocks are coarse.
  return tokens / std::max(us, 1e-3);
}

double DraftPolicy::RateOf(int length) const {
  const double rate = Rate(length, acceptance_.Expected(length));
  return length == 0 ? (1 + kAdvantage) * rate : rate;
}

void DraftPolicy::Decide() {
  if (!IsKnown()) return;
  const auto rounds = static_cast<double>(wave_.number - decided_wave_);
  decided_wave_ = wave_.number;
  const double rate = RateOf(length_);
  int best = length_;
  double best_gain = 0;
  for (int length = 0; length <= kDraftLengthLimit; ++length) {
    const double gain = RateOf(length) / rate - 1;
    if (gain > best_gain) {
      best_gain = gain;
      best = length;
    }
    saved_[length] =
        std::max(saved_[length] + rounds * (gain - kAdvantage), 0.0);
  }
  const bool was_decided = std::exchange(decided_, true);
  if (was_decided) {
    const auto most = std::max_element(saved_.begin(), saved_.end());
    if (*most < kRoundsToChange) return;
    best = static_cast<int>(most - saved_.begin());
  }
  // Waves begin with sessions; the first decision holds at once.
  if (!was_decided) wave_.length = best;
  length_ = best;
  saved_ = {};
  probes_.trial_rounds = 0;
}

void DraftPolicy::FoldWave() {
  own_sessions_ = std::max(wave_.sessions, 1);
  if (wave_.all_rounds > 0) {
    const double fixed = wave_.fixed_rounds / wave_.all_rounds;
    seen_.follow_share +=
        CostCurve::kNewestWeight * (1 - fixed - seen_.follow_share);
    double by_drafter = 0;
    if (fixed > 0) {
      seen_.others_length = wave_.fixed_drafts / wave_.fixed_rounds;
      by_drafter = wave_.fixed_by_drafter / wave_.fixed_rounds;
    }
    seen_.others_drafted +=
        CostCurve::kNewestWeight * (by_drafter - seen_.others_drafted);
    wave_.all_rounds = wave_.fixed_rounds = 0;
    wave_.fixed_drafts = wave_.fixed_by_drafter = 0;
  }
  // What was seen long ago weighs less, so that a probe counts.
  seen_.waiting_weight *= 1 - 1.0 / kLately;
  // A prompt delays a wave, whatever the length.
  if (wave_.rounds > 0 && !wave_.met_prompt) {
    const double waiting =
        std::clamp(wave_.waiting / wave_.rounds, 0.0, kWaitingMax);
    seen_.waiting_weight =
        std::min(seen_.waiting_weight + 1, 1 / CostCurve::kNewestWeight);
    seen_.waiting += (waiting - seen_.waiting) / seen_.waiting_weight;
  }
  wave_.sessions = 0;
  wave_.waiting = 0;
  wave_.rounds = 0;
  wave_.met_prompt = prompts_ > 0;
}

int DraftPolicy::ProbeOr(int length) {
  if (wave_.number - probes_.wave < kLately) return length;
  const int probe =
      probes_.next_longer ? std::min(length + 1, kDraftLengthLimit) : 0;
  const double round_us = UsOf(DraftSource::kModel, length);
  // The time that is lost beside a usual round that brings as many tokens.
  const double cost_us = UsOf(DraftSource::kModel, probe) -
                         round_us * (1 + acceptance_.Expected(probe)) /
                             (1 + acceptance_.Expected(length));
  if (probes_.credit_us < cost_us) return length;
  probes_.credit_us = std::min(probes_.credit_us - cost_us, round_us);
  probes_.wave = wave_.number;
  probes_.next_longer = !probes_.next_longer;
  return probe;
}

int DraftPolicy::TrialOrNone() {
  if (probes_.trial_rounds > 0 && wave_.number - probes_.wave < kLately) {
    return probes_.trial_length;
  }
  probes_.trial_rounds = 0;
  int best = 1;
  bool may_pay = false;
  for (int length = 1; length <= kDraftLengthLimit; ++length) {
    may_pay = may_pay || Rate(length, length) > RateOf(0);
    if (RateOf(length) > RateOf(best)) best = length;
  }
  const double round_us =
      UsOf(DraftSource::kModel, best) -
      (1 + acceptance_.Expected(best)) * UsOf(DraftSource::kModel, 0);
  // Enough drafts to outweigh a prior. Drafters of all sessions run what they
  // lack.
  const double rounds =
      std::max(kRoundsToChange, Acceptance::kPriorTrials / sequences_);
  const double cost_us = rounds * std::max(round_us, 0.0) +
                         sequences_ * draft_->PromptUs(seen_.lacking);
  // What could not pay by a drafter's old report is tried now and then.
  const int64_t pause = may_pay ? kLately : int64_t{kLately} * kLately;
  if (probes_.credit_us < cost_us || wave_.number - probes_.wave < pause) {
    probes_.credit_us = std::min(probes_.credit_us, cost_us);
    return 0;
  }
  probes_.credit_us -= cost_us;
  probes_.wave = wave_.number;
  probes_.trial_length = best;
  probes_.trial_rounds = rounds * sequences_;
  return best;
}

void DraftPolicy::StartWave() {
  ++wave_.number;
  FoldWave();
  wave_.length = length_;
  if (!decided_) return;
  probes_.credit_us += kProbeShare * UsOf(DraftSource::kModel, length_);
  wave_.length = length_ > 0 ? ProbeOr(length_) : TrialOrNone();
}

bool DraftPolicy::IsFirst(Seat* seat) {
  if (!has_first_) has_first_ = seat->is_first = true;
  return seat->is_first;
}

bool DraftPolicy::WantsDrafter(Seat* seat) {
  const absl::MutexLock lock(&mutex_);
  return decided_ ? length_ > 0 || probes_.trial_rounds > 0 : IsFirst(seat);
}

int DraftPolicy::PlanRound(Seat* seat, int64_t lacking) {
  const absl::MutexLock lock(&mutex_);
  // A wave begins with the first session that has a second round in the last.
  if (seat->wave == wave_.number) StartWave();
  if (seat->wave < 0) {
    ++prompts_;
    wave_.met_prompt = true;
  }
  ++wave_.sessions;
  seen_.lacking += (static_cast<double>(lacking) - seen_.lacking) / kLately;
  seat->wave = wave_.number;
  seat->length = decided_ || IsFirst(seat) ? wave_.length : 0;
  return seat->length;
}

void DraftPolicy::OnRound(Seat* seat, const Round& round) {
  const absl::MutexLock lock(&mutex_);
  if (seat->wave >= 0 && !std::exchange(seat->ran_prompt, true)) --prompts_;
  wave_.all_rounds += 1;
  if (!round.follows) {
    wave_.fixed_rounds += 1;
    wave_.fixed_drafts += round.drafted;
    if (RowOf(round.source).has_drafter) {
      wave_.fixed_by_drafter += round.drafted;
    }
  }
  const bool has_drafter = RowOf(round.source).has_drafter;
  if (has_drafter) {
    acceptance_.Age();
    acceptance_.Add(round.drafted, round.accepted);
    if (round.follows) probes_.trial_rounds -= 1;
  }
  if (round.us <= 0 || !IsKnown()) return;
  seen_.transport_weight = std::min(seen_.transport_weight + 1, 1.0 * kLately);
  seen_.transport_us +=
      (std::max(round.us - round.served_us, 0.0) / (has_drafter ? 2 : 1) -
       seen_.transport_us) /
      seen_.transport_weight;
  if (!has_drafter || !round.follows || round.drafted != seat->length) return;
  wave_.waiting +=
      (round.served_us - DraftUs(round.drafted) - TargetUs(round.drafted)) /
      std::max(TargetUs(0), 1e-3);
  ++wave_.rounds;
}

void DraftPolicy::Leave(Seat* seat) {
  const absl::MutexLock lock(&mutex_);
  if (seat->wave >= 0 && !seat->ran_prompt) --prompts_;
  if (seat->is_first) has_first_ = false;
  *seat = {};
}

void DraftPolicy::OnTurn(Seat* seat, int64_t lacking, int64_t generated) {
  Leave(seat);
  if (generated <= 0) return;
  const absl::MutexLock lock(&mutex_);
  const double older = 1 - 1.0 / kLately;
  seen_.turns_lacking =
      older * seen_.turns_lacking + static_cast<double>(lacking);
  seen_.turns_generated =
      older * seen_.turns_generated + static_cast<double>(generated);
}

int DraftPolicy::length() const {
  const absl::MutexLock lock(&mutex_);
  return length_;
}

double DraftPolicy::RoundUs(DraftSource source, int length) const {
  const absl::MutexLock lock(&mutex_);
  if (target_ == nullptr || (RowOf(source).has_drafter && draft_ == nullptr)) {
    return 0;
  }
  return UsOf(source, length);
}

double DraftPolicy::ProposalUs(int length) const {
  const absl::MutexLock lock(&mutex_);
  if (!IsKnown()) return 0;
  const double behind_us = sequences_ > 1 ? TargetUs(length) : 0;
  return DraftUs(length) + behind_us + seen_.transport_us;
}

double DraftPolicy::ExpectedTokens(int length) const {
  const absl::MutexLock lock(&mutex_);
  return 1 + acceptance_.Expected(length);
}

}  // namespace tandem
