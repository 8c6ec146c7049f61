#include "engine/model/rope.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>

#include "engine/base/check.h"
#include "engine/base/fixed_math.h"

namespace tandem {
namespace {

// YaRN leaves pairs below `low` as they are and scales those above `high`
// like kLinear, with a ramp between.
struct YarnRange {
  double low = 0;
  double high = 0;
};

YarnRange FindYarnRange(const RopeConfig& config) {
  // The pair that turns `turns` times within the original context.
  const auto pair_of = [&](double turns) {
    const double positions = static_cast<double>(config.original_context) /
                             (2 * std::numbers::pi * turns);
    return static_cast<double>(config.dims) * FixedLog(positions) /
           (2 * FixedLog(config.base));
  };
  return {.low = std::max(0.0, std::floor(pair_of(config.beta_fast))),
          .high = std::min(static_cast<double>(config.dims - 1),
                           std::ceil(pair_of(config.beta_slow)))};
}

void ScaleByYarn(const RopeConfig& config, std::vector<double>* frequencies) {
  constexpr double kRampMin = 0.001;
  const YarnRange range = FindYarnRange(config);
  const double ramp = std::max(kRampMin, range.high - range.low);
  for (size_t i = 0; i < frequencies->size(); ++i) {
    double& frequency = (*frequencies)[i];
    const double scaled =
        std::clamp((static_cast<double>(i) - range.low) / ramp, 0.0, 1.0);
    frequency = frequency / config.factor * scaled + frequency * (1.0 - scaled);
  }
}

}  // namespace

void RopeConfig::AddTo(Sha256* hash) const {
  for (int64_t number : {static_cast<int64_t>(pairs), dims,
                         static_cast<int64_t>(scaling), original_context}) {
    hash->AddNumber(static_cast<uint64_t>(number));
  }
  for (double number : {base, factor, magnitude, beta_fast, beta_slow}) {
    hash->AddNumber(std::bit_cast<uint64_t>(number));
  }
  for (const std::vector<float>* list : {&factors, &long_factors}) {
    hash->AddNumber(list->size());
    for (float number : *list) hash->AddNumber(std::bit_cast<uint32_t>(number));
  }
}

// Pair i turns by base^(-2i / dims) a position before any scaling. In fixed
// double arithmetic, so that a table has the same bits anywhere.
std::vector<double> RopeFrequencies(const RopeConfig& config,
                                    Position context_max) {
  std::vector<double> frequencies(config.dims / 2);
  const double log_base = FixedLog(config.base);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double exponent =
        -2.0 * static_cast<double>(i) / static_cast<double>(config.dims);
    frequencies[i] = FixedExp(exponent * log_base);
  }
  const bool is_long = config.scaling == RopeScaling::kLongRope &&
                       context_max > config.original_context;
  const std::vector<float>& factors =
      is_long ? config.long_factors : config.factors;
  TANDEM_CHECK(factors.empty() || factors.size() == frequencies.size());
  for (size_t i = 0; i < factors.size(); ++i) frequencies[i] /= factors[i];
  if (config.scaling == RopeScaling::kLinear) {
    for (double& frequency : frequencies) frequency /= config.factor;
  }
  if (config.scaling == RopeScaling::kYarn) ScaleByYarn(config, &frequencies);
  return frequencies;
}

double RopeMagnitude(const RopeConfig& config) {
  if (config.scaling != RopeScaling::kYarn) return config.magnitude;
  return config.magnitude * (1.0 + 0.1 * FixedLog(config.factor));
}

RopeTable::RopeTable(const RopeConfig& config, Position context_max,
                     Position positions)
    : dims_(config.dims),
      interleaved_(config.pairs == RopePairs::kInterleaved),
      positions_(positions),
      frequencies_(RopeFrequencies(config, context_max)),
      magnitude_(RopeMagnitude(config)),
      cos_sin_(positions * config.dims) {
  TANDEM_CHECK(positions <= context_max);
}

void RopeTable::FillTo(Position end, ThreadTeam* team) {
  if (end <= filled_) return;
  TANDEM_CHECK(end <= positions_);
  const Position first = filled_;
  filled_ = std::min(positions_, (end + kRopeFillPositions - 1) /
                                     kRopeFillPositions * kRopeFillPositions);
  const int64_t stride = interleaved_ ? 2 : 1;
  const int64_t sines = interleaved_ ? 1 : dims_ / 2;
  constexpr int64_t kGrain = 64;  // positions
  team->ParallelFor(filled_ - first, kGrain, [&](int64_t begin, int64_t stop) {
    for (int64_t i = begin; i < stop; ++i) {
      const int64_t position = first + i;
      float* out = cos_sin_.data() + position * dims_;
      for (const double frequency : frequencies_) {
        // Each entry is rounded to float once.
        const SinCos angle =
            FixedSinCos(static_cast<double>(position) * frequency);
        out[0] = static_cast<float>(angle.cos * magnitude_);
        out[sines] = static_cast<float>(angle.sin * magnitude_);
        out += stride;
      }
    }
  });
}

}  // namespace tandem
