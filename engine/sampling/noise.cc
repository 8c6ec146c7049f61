#include "engine/sampling/noise.h"

#include "engine/base/fixed_math.h"

namespace tandem {
namespace {

// Multipliers and Weyl increments of Random123's philox4x32.
constexpr uint32_t kMultiplier0 = 0xD2511F53;
constexpr uint32_t kMultiplier1 = 0xCD9E8D57;
constexpr uint32_t kWeyl0 = 0x9E3779B9;
constexpr uint32_t kWeyl1 = 0xBB67AE85;
constexpr int kRounds = 10;

}  // namespace

std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter,
                                   std::array<uint32_t, 2> key) {
  for (int round = 0; round < kRounds; ++round) {
    const uint64_t product0 = uint64_t{kMultiplier0} * counter[0];
    const uint64_t product1 = uint64_t{kMultiplier1} * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0],
               static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1],
               static_cast<uint32_t>(product0)};
    key[0] += kWeyl0;
    key[1] += kWeyl1;
  }
  return counter;
}

double GumbelNoise(NoiseKey key, Position position, TokenId token) {
  const uint32_t id = static_cast<uint32_t>(token);
  const std::array<uint32_t, 4> words = Philox4x32(
      {id / 4, static_cast<uint32_t>(position),
       static_cast<uint32_t>(key.choice), 0},
      {static_cast<uint32_t>(key.seed), static_cast<uint32_t>(key.seed >> 32)});
  // 33 bits, so exact; never 0 or 1.
  const double u = (words[id % 4] + 0.5) * 0x1p-32;
  return -FixedLog(-FixedLog(u));
}

}  // namespace tandem
