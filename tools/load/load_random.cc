#include "tools/load/load_random.h"

#include <cmath>

namespace tandem::load {
namespace {

uint64_t Mixed(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

constexpr uint64_t kStep = 0x9e3779b97f4a7c15;

}  // namespace

LoadRandom::LoadRandom(std::initializer_list<uint64_t> seeds) {
  for (const uint64_t seed : seeds) {
    state_ = Mixed((state_ ^ seed) + kStep);
  }
}

uint64_t LoadRandom::Next() {
  state_ += kStep;
  return Mixed(state_);
}

double LoadRandom::NextUnit() {
  return (static_cast<double>(Next() >> 11) + 1) * 0x1p-53;
}

int64_t LoadRandom::NextIn(Range range) {
  const auto width = static_cast<uint64_t>(range.high - range.low) + 1;
  // 2^64 is no multiple of width: off by less than 2^-30 for ranges of ours.
  return range.low + static_cast<int64_t>(Next() % width);
}

std::chrono::nanoseconds PoissonArrivals::Next() {
  seconds_ += -std::log(random_.NextUnit()) / rate_;
  return std::chrono::nanoseconds(static_cast<int64_t>(seconds_ * 1e9));
}

}  // namespace tandem::load
