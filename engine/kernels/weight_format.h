// What the kernels know of each tensor type of a file: one table entry a type.
// Immutable; any thread. README.md has the packed forms.

#ifndef TANDEM_ENGINE_KERNELS_WEIGHT_FORMAT_H_
#define TANDEM_ENGINE_KERNELS_WEIGHT_FORMAT_H_

#include <cstdint>
#include <string>

#include "absl/types/span.h"
#include "engine/base/tensor_type.h"
#include "engine/kernels/kernel_table.h"

namespace tandem {

// A matrix as the file holds it: [outputs, inputs], rows contiguous.
struct LinearSource {
  std::string name;  // for messages
  TensorType type = TensorType::kF32;
  absl::Span<const uint8_t> data;
  int64_t outputs = 0;  // N
  int64_t inputs = 0;   // K
};

// The weights of one row in one block of a quantised form; a group has the
// first kGroupInputs codes and no integers. The value of a weight in a group is
//   scale * integer + minimum,
// and in a super-block
//   scale * scales[i / 16] * integer - minimum * minimums[i / 16].
struct WeightBlock {
  uint8_t codes[kSuperInputs];
  int8_t scales[kSuperGroups];
  uint8_t minimums[kSuperGroups];  // 0 in forms that have none
  uint16_t scale;                  // fp16
  uint16_t minimum;                // fp16; 0 in forms that have none
};

// The integer that a code of the form stands for.
constexpr int CodeValue(PackedForm form, uint8_t code) {
  switch (form) {
    case PackedForm::k4Bit:
      return code - kPacked4Zero;
    case PackedForm::k8Bit:
      return code - kPacked8Zero;
    case PackedForm::kSuper4Table:
      return kSuper4Values[code];
    case PackedForm::kSuper8Zero:
      return code - kSuper8ZeroPoint;
    default:
      return code;
  }
}

// The values of a block [inputs of the form's block].
void BlockValues(PackedForm form, const WeightBlock& block, float* out);

struct WeightFormat {
  TensorType type;
  // Values of `count` elements, a multiple of the type's block.
  void (*dequantize)(const uint8_t* data, int64_t count, float* out);
  // In mode int8, and in int8+float, where float types stay what they are.
  PackedForm int8_form;
  PackedForm exact_form;
  // The block at `data` in int8_form: without loss for quantised types, rounded
  // to Q8_0 for float types.
  void (*pack)(const uint8_t* data, WeightBlock* out);
  // The fp16 numbers of a block of the type, one after the other: offset of the
  // first in bytes, and their number.
  int halves_offset;
  int halves;
};

// nullptr for a type that is not supported.
const WeightFormat* FindWeightFormat(TensorType type);

// True for F32, F16 and BF16.
bool IsFloatWeightType(TensorType type);

// Bytes of `count` elements, a multiple of the type's block.
int64_t WeightBytes(TensorType type, int64_t count);

// Values of `count` elements of a supported type as floats, by the format's
// definition; count is a multiple of the block.
void Dequantize(TensorType type, const uint8_t* data, int64_t count,
                float* out);

}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_WEIGHT_FORMAT_H_
