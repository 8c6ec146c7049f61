#include "engine/speculation/acceptance.h"

#include <algorithm>

#include "engine/base/check.h"

namespace tandem {

void Acceptance::Tally::Add(bool hit) {
  Limit(kTrialsMax - 1);
  trials += 1;
  hits += hit ? 1 : 0;
}

void Acceptance::Tally::Limit(double trials_max) {
  if (trials <= trials_max) return;
  hits *= trials_max / trials;
  trials = trials_max;
}

void Acceptance::Add(int drafted, int accepted) {
  TANDEM_CHECK(accepted <= drafted && drafted <= kDraftLengthLimit);
  for (int i = 0; i < std::min(drafted, accepted + 1); ++i) {
    pooled_.Add(i < accepted);
    positions_[i].Add(i < accepted);
  }
}

void Acceptance::Age() {
  const auto age = [](Tally* tally) {
    tally->Limit(std::max(kPriorTrials, tally->trials * (1 - 1 / kTrialsMax)));
  };
  age(&pooled_);
  for (Tally& tally : positions_) age(&tally);
}

double Acceptance::Chance(int position) const {
  const double pooled =
      (pooled_.hits + kPriorTrials * prior_) / (pooled_.trials + kPriorTrials);
  const Tally& own = positions_[position];
  return (own.hits + kPriorTrials * pooled) / (own.trials + kPriorTrials);
}

double Acceptance::Expected(int length) const {
  double expected = 0;
  double all_right = 1;
  for (int i = 0; i < length; ++i) {
    all_right *= Chance(i);
    expected += all_right;
  }
  return expected;
}

double Acceptance::AllRight(int length) const {
  double all_right = 1;
  for (int i = 0; i < length; ++i) all_right *= Chance(i);
  return all_right;
}

}  // namespace tandem
