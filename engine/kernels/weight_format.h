// What the kernels know of each tensor type of a file: one table entry a type.
// Immutable; any thread. README.md has the packed forms.

#ifndef TANDEM_ENGINE_KERNELS_WEIGHT_FORMAT_H_
#define TANDEM_ENGINE_KERNELS_WEIGHT_FORMAT_H_

#include <cstdint>

#include "engine/base/tensor_type.h"
#include "engine/kernels/kernel_table.h"
#include "engine/kernels/super_kernels.h"

namespace tandem {

// How a matrix lies in memory in int8 mode.
enum class PackedForm {
  // Groups of kGroupInputs, an fp16 scale each (PackedMatrix).
  k4Bit,         // codes 0 .. 15, integer weight = code - kPacked4Zero
  k8Bit,         // codes 0 .. 255, integer weight = code - kPacked8Zero
  k8BitMinimum,  // codes 0 .. 31, and an fp16 minimum that is added
  // Super-blocks of kSuperInputs (SuperMatrix).
  kSuper4,       // codes 0 .. 15, scales and minimums of groups of 32
  kSuper4Table,  // codes 0 .. 15 into kSuper4Values, scales of groups of 32
  kSuper8,       // codes 0 .. 31, scales and minimums of groups of 16
  kSuper8Zero,  // codes 0 .. 63, weight = code - kSuper8ZeroPoint; scales of 16
};

bool IsSuperForm(PackedForm form);

// The integer that a code of the form stands for.
int CodeValue(PackedForm form, uint8_t code);

// kGroupInputs weights of one row: value * scale + minimum.
struct WeightGroup {
  uint8_t codes[kGroupInputs];
  uint16_t scale;    // fp16
  uint16_t minimum;  // fp16; 0 in forms that have none
};

// kSuperInputs weights of one row:
// scale * scales[i / 16] * value - minimum * minimums[i / 16].
struct WeightSuperBlock {
  uint8_t codes[kSuperInputs];
  int8_t scales[kSuperGroups];
  uint8_t minimums[kSuperGroups];  // 0 in forms that have none
  uint16_t scale;                  // fp16
  uint16_t minimum;                // fp16
};

struct WeightFormat {
  TensorType type;
  // Values of `count` elements, a multiple of the type's block.
  void (*dequantize)(const uint8_t* data, int64_t count, float* out);
  PackedForm form;
  // The group or the super-block at `data` in that form: without loss for
  // quantised types, rounded to Q8_0 for float types. One of the two is null.
  void (*pack_group)(const uint8_t* data, WeightGroup* out);
  void (*pack_super)(const uint8_t* data, WeightSuperBlock* out);
  // The fp16 numbers of a block, one after the other: offset of the first in
  // bytes, and how many.
  int halves_offset;
  int halves;
};

// nullptr for a type that is not supported.
const WeightFormat* FindWeightFormat(TensorType type);

// Bytes of `count` elements, a multiple of the type's block.
int64_t WeightBytes(TensorType type, int64_t count);

// The values of a group or a super-block, by its form.
void GroupValues(PackedForm form, const WeightGroup& group, float* out);
void SuperBlockValues(PackedForm form, const WeightSuperBlock& block,
                      float* out);

}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_WEIGHT_FORMAT_H_
