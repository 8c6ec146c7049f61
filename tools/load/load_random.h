// Random numbers that are the same on every machine for a seed. One thread.

#ifndef TANDEM_TOOLS_LOAD_LOAD_RANDOM_H_
#define TANDEM_TOOLS_LOAD_LOAD_RANDOM_H_

#include <chrono>
#include <cstdint>
#include <initializer_list>

namespace tandem::load {

// Whole numbers low .. high.
struct Range {
  int64_t low = 0;
  int64_t high = 0;
};

// splitmix64: Steele, Lea and Flood, "Fast splittable pseudorandom number
// generators" (2014).
class LoadRandom {
 public:
  // The stream that belongs to these numbers together.
  explicit LoadRandom(std::initializer_list<uint64_t> seeds);

  uint64_t Next();
  // In (0, 1].
  double NextUnit();
  // Each of the range's numbers is as likely; low <= high.
  int64_t NextIn(Range range);

 private:
  uint64_t state_ = 0;
};

// Arrivals that do not depend on each other: the gaps are exponential.
class PoissonArrivals {
 public:
  // `rate` arrivals per second on average, above 0.
  PoissonArrivals(double rate, uint64_t seed) : rate_(rate), random_({seed}) {}

  // Time of the next arrival since the first call's beginning, ascending.
  std::chrono::nanoseconds Next();

 private:
  const double rate_;
  LoadRandom random_;
  double seconds_ = 0;
};

}  // namespace tandem::load

#endif  // TANDEM_TOOLS_LOAD_LOAD_RANDOM_H_
