// Attention of queries over the blocks of one KV head, flash style: memory does
// not grow with the context.
//
// Keys and values are read only as stored. A block is one page, aligned to
// position 0; keys lie in it dimension by dimension, so that a SIMD lane is a
// position, and queries that see the same positions share each load. A query
// goes through the blocks of a span in ascending order; what spans give may
// come from any thread and is merged in ascending order. So the bits depend on
// the positions alone.

#ifndef TANDEM_ENGINE_KERNELS_ATTENTION_H_
#define TANDEM_ENGINE_KERNELS_ATTENTION_H_

#include <cstdint>

#include "engine/kernels/kernel_table.h"
#include "engine/kernels/numerics_mode.h"

namespace tandem {

// Positions that a query takes in one go; a whole number of blocks, aligned to
// position 0. Long contexts are cut here for the threads, and short ones too,
// since the cut shows in the bits.
inline constexpr int kAttentionSpanTokens = 512;
static_assert(kAttentionSpanTokens % kKvPageTokens == 0);

// Stores the key of position `position` (0 .. kKvPageTokens - 1) of a block,
// count floats as `type` (bf16: rounded to nearest even).
void StoreKey(const KernelTable& kernels, KvType type, const float* x,
              int64_t count, int64_t position, void* block_keys);
// Stores count floats of a value at `out`.
void StoreValue(const KernelTable& kernels, KvType type, const float* x,
                int64_t count, void* out);

// A query that has seen nothing: sets all but `query` and `values`.
void BeginAttention(int64_t head_dim, AttentionQuery* query);

// Each query sees one more block: scores = scale * dot(query, key), then, where
// soft_cap is not 0, soft_cap * tanh(score / soft_cap).
void AttendBlock(const KernelTable& kernels, KvType type,
                 const AttentionCall& call);

// Merges `next`, which has seen the following span, into `into`. What attention
// gives in the end is values / sum.
void MergeAttention(const KernelTable& kernels, const AttentionQuery& next,
                    int64_t head_dim, AttentionQuery* into);

}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_ATTENTION_H_
