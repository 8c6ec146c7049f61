#include "tools/load/histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace tandem::load {

size_t Histogram::BucketOf(int64_t us) {
  const auto value = static_cast<uint64_t>(us);
  const int width = std::bit_width(value);
  if (width <= kStepBits) return value;
  const int shift = width - kStepBits - 1;
  // The leading 1 stands in the group's number.
  return (static_cast<size_t>(shift) << kStepBits) + (value >> shift);
}

int64_t Histogram::BucketEnd(size_t bucket) {
  constexpr size_t kSteps = size_t{1} << kStepBits;
  if (bucket < 2 * kSteps) return static_cast<int64_t>(bucket);
  const size_t shift = (bucket >> kStepBits) - 1;
  const size_t step = bucket - (shift << kStepBits);
  return static_cast<int64_t>(((step + 1) << shift) - 1);
}

void Histogram::Add(int64_t us, int64_t times) {
  const int64_t value =
      std::clamp<int64_t>(us, 0, (int64_t{1} << kValueBits) - 1);
  buckets_[BucketOf(value)] += times;
  count_ += times;
  max_ = std::max(max_, value);
  sum_ += static_cast<double>(value) * static_cast<double>(times);
}

void Histogram::Merge(const Histogram& other) {
  for (size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
  sum_ += other.sum_;
}

double Histogram::mean() const {
  return count_ == 0 ? 0 : sum_ / static_cast<double>(count_);
}

int64_t Histogram::Percentile(double percent) const {
  const auto wanted = static_cast<int64_t>(
      std::ceil(percent / 100 * static_cast<double>(count_)));
  int64_t seen = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    if (seen > 0 && seen >= wanted) return std::min(BucketEnd(i), max_);
  }
  return 0;
}

}  // namespace tandem::load
