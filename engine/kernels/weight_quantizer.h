// Rounds floats to the blocks of a quantised tensor type, for the quantiser of
// the command line and for random models. Pure; any thread; the same floats
// give the same bytes on every machine.

#ifndef TANDEM_ENGINE_KERNELS_WEIGHT_QUANTIZER_H_
#define TANDEM_ENGINE_KERNELS_WEIGHT_QUANTIZER_H_

#include <cstdint>

#include "engine/base/tensor_type.h"

namespace tandem {

// True for the types that QuantizeWeights makes: F32, F16, BF16, Q8_0, Q4_0,
// Q4_K, Q6_K.
bool IsQuantizerType(TensorType type);

// x[count] as `type`; count is a multiple of its block, every x is finite and
// below 65504 (the largest fp16) in magnitude. Q8_0 and Q4_0 take the scale
// that the largest magnitude gives; Q4_K and Q6_K try several scales a group
// and keep the one with the least squared error, elements weighted by x^2.
void QuantizeWeights(TensorType type, const float* x, int64_t count,
                     uint8_t* out);

}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_WEIGHT_QUANTIZER_H_
