// Times, kept one by one for percentiles: those are exact up to kSamplesMax
// times, beyond it those of a random sample of all (a p99 is within p98.8 ..
// p99.2). Count, largest and mean stay exact. A value; one thread at a time.

#ifndef TANDEM_TOOLS_LOAD_SAMPLES_H_
#define TANDEM_TOOLS_LOAD_SAMPLES_H_

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace tandem::load {

// 1 MiB of samples.
inline constexpr size_t kSamplesMax = size_t{1} << 16;

class Samples {
 public:
  // Adds `us` microseconds, `times` times. Below 0 counts as 0.
  void Add(int64_t us, int64_t times = 1);
  // Adds what `other` has kept. Two that are both over the limit weigh the same
  // here, whatever their counts: merge runs of equal length.
  void Merge(const Samples& other);

  int64_t count() const { return count_; }
  int64_t max() const { return max_; }
  double mean() const;  // 0 where there is none
  // The smallest value that at least `percent` (0 .. 100) of all are no larger
  // than; 0 where there is none.
  int64_t Percentile(double percent) const;

 private:
  struct Sample {
    int64_t us;
    int64_t times;
  };

  void Keep(const Sample& sample);

  std::vector<Sample> kept_;
  int64_t offered_ = 0;  // to be kept
  std::minstd_rand random_;
  int64_t count_ = 0;
  int64_t max_ = 0;
  double sum_ = 0;
};

}  // namespace tandem::load

#endif  // TANDEM_TOOLS_LOAD_SAMPLES_H_
