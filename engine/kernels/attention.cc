#include "engine/kernels/attention.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "engine/base/check.h"
#include "engine/kernels/float_math.h"

namespace tandem {
namespace {

// Dimensions of a key that are converted at a time.
constexpr int64_t kKeyPart = 128;

template <typename T>
void ScatterKey(const T* x, int64_t count, int64_t position, T* keys) {
  for (int64_t i = 0; i < count; ++i) keys[i * kKvPageTokens + position] = x[i];
}

}  // namespace

void StoreKey(const KernelTable& kernels, KvType type, const float* x,
              int64_t count, int64_t position, void* block_keys) {
  TANDEM_CHECK(position >= 0 && position < kKvPageTokens);
  if (type == KvType::kF32) {
    ScatterKey(x, count, position, static_cast<float*>(block_keys));
    return;
  }
  uint16_t part[kKeyPart];
  for (int64_t i = 0; i < count; i += kKeyPart) {
    const int64_t size = std::min(kKeyPart, count - i);
    kernels.float_to_bf16(x + i, size, part);
    ScatterKey(part, size, position,
               static_cast<uint16_t*>(block_keys) + i * kKvPageTokens);
  }
}

void StoreValue(const KernelTable& kernels, KvType type, const float* x,
                int64_t count, void* out) {
  if (type == KvType::kF32) {
    std::memcpy(out, x, count * sizeof(float));
    return;
  }
  kernels.float_to_bf16(x, count, static_cast<uint16_t*>(out));
}

void BeginAttention(int64_t head_dim, AttentionQuery* query) {
  query->maximum = -std::numeric_limits<float>::infinity();
  query->sum = 0;
  std::fill_n(query->values, head_dim, 0.0f);
}

void AttendBlock(const KernelTable& kernels, KvType type,
                 const AttentionCall& call) {
  TANDEM_CHECK(call.begin >= 0 && call.begin < call.end &&
               call.end <= kKvPageTokens);
  (type == KvType::kBf16 ? kernels.attend_block_bf16
                         : kernels.attend_block_f32)(call);
}

void MergeAttention(const KernelTable& kernels, const AttentionQuery& next,
                    int64_t head_dim, AttentionQuery* into) {
  const float maximum =
      next.maximum > into->maximum ? next.maximum : into->maximum;
  const float next_factor = FixedExpFloat(next.maximum - maximum);
  const float into_factor = FixedExpFloat(into->maximum - maximum);
  into->maximum = maximum;
  into->sum = into->sum * into_factor + next.sum * next_factor;
  kernels.merge_values(next.values, next_factor, into_factor, head_dim,
                       into->values);
}

}  // namespace tandem
