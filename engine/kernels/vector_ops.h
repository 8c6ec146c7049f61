// The elementwise and reduction kernels of a forward pass. Pure functions; the
// scalar form is the oracle and every level gives its bits. Reductions use 16
// partial sums (lane i takes elements i, i + 16, ...) joined by one fixed
// tree: 8 apart, 4 apart, 2 apart, 1 apart.

#ifndef TANDEM_ENGINE_KERNELS_VECTOR_OPS_H_
#define TANDEM_ENGINE_KERNELS_VECTOR_OPS_H_

#include <cstdint>

#include "engine/base/cpu_features.h"

namespace tandem {

inline constexpr int kReductionLanes = 16;

// e^x in fixed arithmetic, within 2 ulp on [-87, 88]; 0 below, +inf above.
float FixedExpFloat(float x);
// tanh x in fixed arithmetic, within 3 ulp.
float FixedTanhFloat(float x);

// out[i] = x[i] / sqrt(mean(x^2) + epsilon) * weight[i].
void RmsNorm(SimdLevel level, const float* x, const float* weight,
             int64_t count, float epsilon, float* out);

// Rotates the pairs (x[2i], x[2i+1]) of each head by the angles of one
// position: cos_sin [rotary_dims] = cos, sin, cos, sin, ... Dimensions past
// rotary_dims are left. Interleaved pairs are the Llama order of GGUF files.
void RopeInterleaved(SimdLevel level, float* x, int64_t heads, int64_t head_dim,
                     const float* cos_sin, int64_t rotary_dims);

// The same for the pairs (x[i], x[i + rotary_dims / 2]), the order of GPT-NeoX:
// cos_sin [rotary_dims] = all cosines, then all sines.
void RopeHalfSplit(SimdLevel level, float* x, int64_t heads, int64_t head_dim,
                   const float* cos_sin, int64_t rotary_dims);

// out[i] = silu(gate[i]) * up[i], silu(v) = v / (1 + e^-v).
void SiluMultiply(SimdLevel level, const float* gate, const float* up,
                  int64_t count, float* out);

// out[i] = gelu(gate[i]) * up[i], GELU in its form by tanh.
void GeluMultiply(SimdLevel level, const float* gate, const float* up,
                  int64_t count, float* out);

// x[i] = cap * tanh(x[i] / cap), cap above 0.
void SoftCap(SimdLevel level, float* x, int64_t count, float cap);

// x[i] *= factor.
void Scale(SimdLevel level, float* x, int64_t count, float factor);

// x[i] += y[i].
void AddInPlace(SimdLevel level, float* x, const float* y, int64_t count);

// Rounds to nearest even.
uint16_t FloatToBf16(float value);
float Bf16ToFloat(uint16_t bits);
float HalfToFloat(uint16_t bits);
// Rounds to nearest even; overflow gives infinity.
uint16_t FloatToHalf(float value);

}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_VECTOR_OPS_H_
