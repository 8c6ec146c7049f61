// Attention of one query row over the pages of one KV head, flash style:
// memory does not grow with the context.
//
// Keys and values are read only as stored. A block of keys is one page,
// aligned to position 0; results per block (maximum, sum, weighted values) may
// come from any thread and are merged in ascending order, so the bits do not
// depend on how blocks were split.

#ifndef TANDEM_ENGINE_KERNELS_ATTENTION_H_
#define TANDEM_ENGINE_KERNELS_ATTENTION_H_

#include <cstdint>

#include "engine/base/cpu_features.h"
#include "engine/kernels/numerics_mode.h"

namespace tandem {

// Positions of one KV page; also attention's block.
inline constexpr int kKvPageTokens = 32;

// Stores count floats as `type` at `out` (bf16: rounded to nearest even).
void StoreKv(SimdLevel level, KvType type, const float* x, int64_t count,
             void* out);

// What one block of keys gives one query: softmax numerator, not normalised.
struct AttentionPartial {
  float maximum = 0;        // of the scores
  float sum = 0;            // of exp(score - maximum)
  float* values = nullptr;  // [head_dim]: sum of exp(score - maximum) * v
};

struct AttentionBlock {
  const void* keys = nullptr;    // [count, head_dim] of KvType
  const void* values = nullptr;  // [count, head_dim] of KvType
  int64_t count = 0;             // 1 .. kKvPageTokens
};

// scores = scale * dot(query, key), then, where soft_cap is not 0, soft_cap *
// tanh(score / soft_cap). Fills `out` (out->values is scratch of the caller).
void AttendBlock(SimdLevel level, KvType type, const float* query,
                 const AttentionBlock& block, int64_t head_dim, float scale,
                 AttentionPartial* out, float soft_cap = 0);

// Merges `next`, the following block, into `into`.
void MergePartial(SimdLevel level, const AttentionPartial& next,
                  int64_t head_dim, AttentionPartial* into);

// out[i] = partial.values[i] / partial.sum.
void FinishAttention(SimdLevel level, const AttentionPartial& partial,
                     int64_t head_dim, float* out);

}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_ATTENTION_H_
