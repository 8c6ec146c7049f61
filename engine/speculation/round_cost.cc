#include "engine/speculation/round_cost.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace tandem {
namespace {

// Weight of the newest time; of the first few, one over their number and that
// of the times that the worker's report counts as: one round that met another
// session's prompt makes every length look cheap, since all of them would wait.
constexpr double kNewestWeight = 0.1;
constexpr double kReportWeight = 2;
// A time further from what is expected than by this factor is an accident of
// the machine and counts as this far.
constexpr double kSurprise = 4;
// The weight of a length's times falls by this share a round, up to the most.
constexpr double kAgeing = 1.0 / 128;
constexpr double kWeightMax = 20;
// Lengths at this distance tell 1/e of what the length itself does.
constexpr double kReach = 3;
// Whatever is measured, a round takes this share of its passes.
constexpr double kLeastShare = 0.1;

double NewestWeight(double samples) {
  return std::max(kNewestWeight, 1 / (samples + kReportWeight + 1));
}

double Tame(double us, double expected_us) {
  return std::clamp(us, expected_us / kSurprise, expected_us * kSurprise);
}

}  // namespace

void RoundCost::SetTarget(const CostCurve& passes,
                          const TargetSharing& sharing) {
  if (passes.empty()) return;
  sequences_ = std::max(sharing.sequences, 1.0);
  takes_turns_ = sharing.takes_turns;
  const double streams = std::max(sharing.streams, sequences_);
  cohorts_ = std::min(streams / sequences_, kCohortsMax);
  passes_us_[0] = passes.At(is_shared() ? streams : sequences_);
  for (int length = 1; length < kLengths; ++length) {
    passes_us_[length] = passes.At(sequences_ * (length + 1));
  }
  has_passes_ = true;
  known_ = true;
  Draw();
}

void RoundCost::SetDraft(const CostCurve& passes, double sequences) {
  if (passes.empty()) return;
  double rows = std::max(sequences, 1.0);
  // While none drafts, few are seen there.
  if (is_shared() && takes_turns_) rows = std::max(rows, sequences_);
  draft_pass_us_ = passes.At(rows);
  draft_row_us_ = passes.At(rows + 1) - draft_pass_us_;
  draft_more_us_ = passes.At(2 * rows) - draft_pass_us_;
  // What was seen without reports is of another kind.
  if (!has_draft_passes_) draft_times_seen_ = 0;
  has_draft_passes_ = true;
  draft_known_ = true;
}

void RoundCost::OnVerified(int drafted, double us, double served_us) {
  for (Beyond& beyond : beyond_) beyond.weight *= 1 - kAgeing;
  if (has_passes_) {
    if (is_shared()) us = passes_us_[drafted] + std::max(us - served_us, 0.0);
    Beyond& beyond = beyond_[drafted];
    beyond.us +=
        NewestWeight(beyond.weight) *
        (Tame(us, verify_us_[drafted]) - passes_us_[drafted] - beyond.us);
    beyond.weight = std::min(beyond.weight + 1, kWeightMax);
  } else {
    seen_.Add(drafted + 1, us);
  }
  known_ = true;
  Draw();
}

void RoundCost::OnProposed(int length, int rows, double us, double served_us) {
  if (length < 1) return;
  more_rows_ += kNewestWeight * (std::clamp(rows - 1, 0, 1) - more_rows_);
  if (has_draft_passes_) {
    const double passes_us =
        length * draft_pass_us_ + std::max(rows - 1, 0) * draft_row_us_;
    draft_beyond_us_ = MedianWith(us - (is_shared() ? served_us : passes_us));
  } else if (rows <= 2) {
    // Two tokens follow a draft that was right to its end; more would say
    // little of a token's cost.
    draft_token_us_ = MedianWith(us / length);
    draft_known_ = true;
  }
}

double RoundCost::MedianWith(double us) {
  draft_times_[draft_times_seen_++ % kDraftTimes] = us;
  std::vector<double> times(
      draft_times_.begin(),
      draft_times_.begin() + std::min(draft_times_seen_, kDraftTimes));
  const auto middle = times.begin() + times.size() / 2;
  std::nth_element(times.begin(), middle, times.end());
  return *middle;
}

double RoundCost::LoneDraftUs(int length) const {
  if (length == 0) return 0;
  if (!has_draft_passes_) return length * draft_token_us_;
  const double passes_us =
      length * draft_pass_us_ + (is_shared() ? more_rows_ * draft_more_us_ : 0);
  return std::max(passes_us + draft_beyond_us_, kLeastShare * passes_us);
}

double RoundCost::DraftUs(int length) const {
  const double us = LoneDraftUs(length);
  if (!is_shared()) return us;
  if (takes_turns_) return cohorts_ * us;
  // The target computes for the others meanwhile.
  return std::max(us - (cohorts_ - 1) * passes_us_[length], 0.0);
}

double RoundCost::ProposalUs(int length) const {
  return LoneDraftUs(length) + (is_shared() ? verify_us_[length] : 0);
}

double RoundCost::BeyondUs(int length) const {
  // Where all draft, answers meet busy processors; where none does, they do
  // not. So neither tells of the other, as long as both were seen.
  const bool apart = is_shared() && (length > 0 || beyond_[0].weight > 0);
  double sum = 0;
  double weights = 0;
  double other_us = 0;
  for (int other = 0; other < kLengths; ++other) {
    if (beyond_[other].weight == 0) continue;
    if (apart && (other > 0) != (length > 0)) {
      other_us = beyond_[other].us;
      continue;
    }
    const double weight =
        beyond_[other].weight * std::exp(-std::abs(length - other) / kReach);
    sum += weight * beyond_[other].us;
    weights += weight;
  }
  return weights > 0 ? sum / weights : other_us;
}

void RoundCost::Draw() {
  double least_us = 0;
  for (int length = 0; length < kLengths; ++length) {
    double us = seen_.At(length + 1);
    if (has_passes_) {
      const double passes_us =
          passes_us_[length] * (length > 0 && is_shared() ? cohorts_ : 1);
      us = passes_us + BeyondUs(length);
      us = std::max(us, kLeastShare * passes_us);
    }
    least_us = std::max(least_us, us);
    verify_us_[length] = least_us;
  }
}

}  // namespace tandem
