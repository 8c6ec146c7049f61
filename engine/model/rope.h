// Rotary position embeddings: by how much each pair of dimensions turns at
// each position. A RopeConfig is part of a model's config; a RopeTable is made
// for one context length, grows with the positions that are used, and is read
// by any thread between.

#ifndef TANDEM_ENGINE_MODEL_ROPE_H_
#define TANDEM_ENGINE_MODEL_ROPE_H_

#include <cstdint>
#include <vector>

#include "engine/base/hash.h"
#include "engine/base/huge_page_buffer.h"
#include "engine/base/thread_team.h"
#include "engine/base/types.h"
#include "engine/model/architecture.h"

namespace tandem {

enum class RopeScaling {
  kNone,
  kLinear,    // positions divided by `factor`
  kYarn,      // Peng et al., arXiv 2309.00071
  kLongRope,  // Ding et al., arXiv 2402.13753: a factor for each pair
};

struct RopeConfig {
  RopePairs pairs = RopePairs::kInterleaved;
  int64_t dims = 0;  // even, at most head_dim
  double base = 0;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1;              // kLinear, kYarn; at least 1
  Position original_context = 0;  // kYarn, kLongRope: before scaling
  double magnitude = 1;           // cosines and sines are multiplied by it
  double beta_fast = 32;          // kYarn
  double beta_slow = 1;           // kYarn
  // What the frequency of each pair is divided by, [dims / 2]; empty: nothing.
  std::vector<float> factors = {};
  // kLongRope: instead of `factors` in a context above original_context.
  std::vector<float> long_factors = {};

  // Every field, for the fingerprint.
  void AddTo(Sha256* hash) const;
};

// Radians a position that each pair turns in a context of `context_max`
// tokens, [dims / 2].
std::vector<double> RopeFrequencies(const RopeConfig& config,
                                    Position context_max);

// What cosines and sines are multiplied by.
double RopeMagnitude(const RopeConfig& config);

// The table grows by so many positions: what they take, 0.2 ms for 128
// dimensions on one thread, is nothing beside the steps that reach them.
inline constexpr Position kRopeFillPositions = 256;

class RopeTable {
 public:
  // For positions below `positions`, at most context_max, none of which is
  // there yet. Throws std::bad_alloc when address space is out.
  RopeTable(const RopeConfig& config, Position context_max, Position positions);

  // Positions below `end`, at most `positions`, are there afterwards; `team`
  // fills in parallel. Allocates nothing.
  void FillTo(Position end, ThreadTeam* team);

  // Of one position that is there, [dims]: cos, sin, cos, sin, ... for
  // interleaved pairs, all cosines and then all sines for split ones.
  const float* At(Position position) const {
    return cos_sin_.data() + position * dims_;
  }

 private:
  const int64_t dims_;
  const bool interleaved_;
  const Position positions_;
  const std::vector<double> frequencies_;  // [dims / 2]
  const double magnitude_;
  Position filled_ = 0;           // positions that are there
  HugePageArray<float> cos_sin_;  // [positions, dims]
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_MODEL_ROPE_H_
