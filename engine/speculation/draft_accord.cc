#include "engine/speculation/draft_accord.h"

#include <algorithm>

namespace tandem {

void DraftAccord::Add(int drafted, int accepted) {
  const std::lock_guard<std::mutex> lock(mutex_);
  acceptance_.Age();
  acceptance_.Add(drafted, accepted);
}

Acceptance DraftAccord::acceptance() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return acceptance_;
}

void DraftAccord::AddTurn(double opening_us, int64_t tokens) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const double older = 1 - 1 / kLatelyTurns;
  opening_us_ = older * opening_us_ + opening_us;
  tokens_ = older * tokens_ + static_cast<double>(tokens);
}

double DraftAccord::OpeningUsPerToken() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return tokens_ > 0 ? opening_us_ / tokens_ : 0;
}

std::optional<int> DraftAccord::length() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return length_;
}

void DraftAccord::Weigh(std::optional<int> agreed, const Gains& gains,
                        double rounds, double sessions) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (agreed != length_) return;
  for (size_t k = 0; k < gains.size(); ++k) {
    saved_[k] = std::max(saved_[k] + gains[k] * rounds / sessions, 0.0);
  }
  const auto most = std::max_element(saved_.begin(), saved_.end());
  if (length_.has_value() && *most < kRoundsToChange) return;
  length_ = static_cast<int>(most - saved_.begin());
  saved_ = {};
}

}  // namespace tandem
