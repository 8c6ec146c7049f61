#include "engine/kernels/attention.h"

#include <cstring>

#include "engine/base/check.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/vector_ops.h"

namespace tandem {

void StoreKv(SimdLevel level, KvType type, const float* x, int64_t count,
             void* out) {
  if (type == KvType::kF32) {
    std::memcpy(out, x, count * sizeof(float));
    return;
  }
  KernelsFor(level).float_to_bf16(x, count, static_cast<uint16_t*>(out));
}

void AttendBlock(SimdLevel level, KvType type, const float* query,
                 const AttentionBlock& block, int64_t head_dim, float scale,
                 AttentionPartial* out, float soft_cap) {
  TANDEM_CHECK(block.count >= 1 && block.count <= kKvPageTokens);
  AttentionCall call = {
      .query = query,
      .keys = block.keys,
      .values = block.values,
      .count = block.count,
      .head_dim = head_dim,
      .scale = scale,
      .soft_cap = soft_cap,
      .values_out = out->values,
  };
  const KernelTable& kernels = KernelsFor(level);
  (type == KvType::kBf16 ? kernels.attend_block_bf16
                         : kernels.attend_block_f32)(&call);
  out->maximum = call.maximum;
  out->sum = call.sum;
}

void MergePartial(SimdLevel level, const AttentionPartial& next,
                  int64_t head_dim, AttentionPartial* into) {
  const float maximum =
      next.maximum > into->maximum ? next.maximum : into->maximum;
  const float next_factor = FixedExpFloat(next.maximum - maximum);
  const float into_factor = FixedExpFloat(into->maximum - maximum);
  into->maximum = maximum;
  into->sum = into->sum * into_factor + next.sum * next_factor;
  KernelsFor(level).merge_values(next.values, next_factor, into_factor,
                                 head_dim, into->values);
}

void FinishAttention(SimdLevel level, const AttentionPartial& partial,
                     int64_t head_dim, float* out) {
  KernelsFor(level).divide(partial.values, partial.sum, head_dim, out);
}

}  // namespace tandem
