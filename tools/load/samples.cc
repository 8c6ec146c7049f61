#include "tools/load/samples.h"

#include <algorithm>
#include <cmath>

namespace tandem::load {

void Samples::Add(int64_t us, int64_t times) {
  const Sample sample = {.us = std::max<int64_t>(us, 0), .times = times};
  count_ += times;
  max_ = std::max(max_, sample.us);
  sum_ += static_cast<double>(sample.us) * static_cast<double>(times);
  Keep(sample);
}

// Algorithm R (Vitter, "Random sampling with a reservoir", 1985): the n-th
// takes the place of another one with probability kSamplesMax / n.
void Samples::Keep(const Sample& sample) {
  ++offered_;
  if (kept_.size() < kSamplesMax) {
    kept_.push_back(sample);
    return;
  }
  const auto place = static_cast<size_t>(
      std::uniform_int_distribution<int64_t>(0, offered_ - 1)(random_));
  if (place < kSamplesMax) kept_[place] = sample;
}

void Samples::Merge(const Samples& other) {
  for (const Sample& sample : other.kept_) Keep(sample);
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
  sum_ += other.sum_;
}

double Samples::mean() const {
  return count_ == 0 ? 0 : sum_ / static_cast<double>(count_);
}

int64_t Samples::Percentile(double percent) const {
  std::vector<Sample> sorted = kept_;
  std::sort(sorted.begin(), sorted.end(),
            [](const Sample& a, const Sample& b) { return a.us < b.us; });
  int64_t all = 0;
  for (const Sample& sample : sorted) all += sample.times;
  const double wanted = percent / 100 * static_cast<double>(all);
  int64_t seen = 0;
  for (const Sample& sample : sorted) {
    seen += sample.times;
    if (static_cast<double>(seen) >= wanted) return sample.us;
  }
  return max_;
}

}  // namespace tandem::load
