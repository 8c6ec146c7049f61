// What the kernels know of each tensor type of a file: one table entry a type.
// Immutable; any thread.

#ifndef TANDEM_ENGINE_KERNELS_WEIGHT_FORMAT_H_
#define TANDEM_ENGINE_KERNELS_WEIGHT_FORMAT_H_

#include <cstdint>

#include "engine/base/tensor_type.h"
#include "engine/kernels/kernel_table.h"

namespace tandem {

// How a matrix lies in memory in int8 mode.
enum class PackedForm {
  k4Bit,  // codes 0 .. 15, integer weight = code - kPacked4Zero
  k8Bit,  // codes 0 .. 255, integer weight = code - kPacked8Zero
};

// kGroupInputs weights of one row: integer codes and one fp16 scale.
struct WeightGroup {
  uint8_t codes[kGroupInputs];
  uint16_t scale;
};

struct WeightFormat {
  TensorType type;
  // Values of `count` elements, a multiple of the type's block.
  void (*dequantize)(const uint8_t* data, int64_t count, float* out);
  PackedForm form;
  // The group at `data` in that form: without loss for quantised types, rounded
  // to Q8_0 for float types.
  void (*pack_group)(const uint8_t* data, WeightGroup* out);
};

// nullptr for a type that is not supported.
const WeightFormat* FindWeightFormat(TensorType type);

// Bytes of `count` elements, a multiple of the type's block.
int64_t WeightBytes(TensorType type, int64_t count);

}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_WEIGHT_FORMAT_H_
