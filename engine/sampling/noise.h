// Counter-based Gumbel noise: a pure function of (seed, choice, position,
// token).
//
// Philox 4x32-10 (Salmon et al., SC 2011, "Parallel random numbers: as easy as
// 1, 2, 3"): key = the seed's two halves, low first; counter = (token id / 4,
// position, choice index, 0); the token's word is number id mod 4.
// u = (word + 0.5) * 2^-32; noise = -log(-log(u)), all in double.

#ifndef TANDEM_ENGINE_SAMPLING_NOISE_H_
#define TANDEM_ENGINE_SAMPLING_NOISE_H_

#include <array>
#include <cstdint>

#include "engine/base/types.h"

namespace tandem {

// Ten rounds of Philox 4x32.
std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter,
                                   std::array<uint32_t, 2> key);

// Every noise lies strictly between these: u is at least 2^-33 and at most
// 1 - 2^-33, so the noise is in [-log(33 log 2), 33 log 2].
inline constexpr double kGumbelNoiseMin = -3.14;
inline constexpr double kGumbelNoiseMax = 22.88;

// What tells the noise of one reply from that of another.
struct NoiseKey {
  uint64_t seed = 0;
  // Which of several replies under one seed: their noises are independent.
  int32_t choice = 0;
};

// The noise of `token` at `position` (below 2^32) under `key`.
double GumbelNoise(NoiseKey key, Position position, TokenId token);

}  // namespace tandem

#endif  // TANDEM_ENGINE_SAMPLING_NOISE_H_
