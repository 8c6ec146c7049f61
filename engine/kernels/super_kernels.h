// The kernels over super-blocks: 256 inputs that share one fp16 scale of each
// row and, per group of 16 or 32 of them, an integer scale (and minimum). Like
// kernel_table.h included by files compiled for AVX2 and AVX-512: nothing but
// <cstdint>, no inline function. README.md has the layouts and the order of
// operations.

#ifndef TANDEM_ENGINE_KERNELS_SUPER_KERNELS_H_
#define TANDEM_ENGINE_KERNELS_SUPER_KERNELS_H_

#include <cstdint>

#include "engine/kernels/kernel_table.h"

namespace tandem {

inline constexpr int kSuperInputs = 256;
// The finest grain of integer scales.
inline constexpr int kSuperGroupInputs = 16;
inline constexpr int kSuperGroups = kSuperInputs / kSuperGroupInputs;

// One super-block of one tile of a form: 32 fp16 scales, 32 fp16 minimums, the
// integer scales, the integer minimums where the form has them, the codes. Of
// the integers those of two neighbouring groups stand side by side for each
// row: byte 64 * (group / 2) + 2 * lane + group % 2.
template <int kBits, bool kMinimums>
struct SuperLayout {
  static constexpr int kCodeBits = kBits;
  static constexpr bool kHasMinimums = kMinimums;
  static constexpr int kScaleInputs = kBits == 4 ? 32 : 16;  // of one group
  static constexpr int kGroups = kSuperInputs / kScaleInputs;
  static constexpr int kScalesAt = 2 * kScaleBytes;  // bytes
  static constexpr int kMinimumsAt = kScalesAt + kGroups * kTileOutputs;
  static constexpr int kCodesAt =
      kMinimumsAt + (kMinimums ? kGroups * kTileOutputs : 0);
  static constexpr int kGroupBytes = kScaleInputs * kTileOutputs * kBits / 8;
  static constexpr int kBytes = kCodesAt + kGroups * kGroupBytes;
};

using Super4Layout = SuperLayout<4, true>;
using Super4TableLayout = SuperLayout<4, false>;
using Super8Layout = SuperLayout<8, true>;
using Super8ZeroLayout = SuperLayout<8, false>;

// The zero point of the 8-bit form without minimums.
inline constexpr int kSuper8ZeroPoint = 32;
// What the codes of the 4-bit form with a table stand for (IQ4_NL's values).
inline constexpr int8_t kSuper4Values[16] = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// kSuperInputs inputs of up to kRowBlock rows of x, quantised to int8 in
// -127 .. 127 with one scale a row.
struct alignas(64) ActivationSuperBlock {
  int8_t values[kRowBlock][kSuperInputs];
  // Of 16 and of 32 consecutive values; two of them are one 32-bit word of the
  // kernels.
  int16_t sums16[kRowBlock][kSuperGroups];
  int16_t sums32[kRowBlock][kSuperGroups / 2];
  // -8 * sums32: a dot product of 32 4-bit codes that starts here is that of
  // the codes less 8 and fits 16 bits (8 * 127 * 32 = 32512).
  int32_t starts32[kRowBlock][kSuperGroups / 2];
  float scales[kRowBlock];
};

// Consecutive tiles of one matrix times all rows of one input.
struct SuperMatmul {
  const uint8_t* tiles = nullptr;  // the first one
  int64_t tile_stride = 0;         // bytes from tile to tile
  int64_t outputs = 0;             // covered; the last tile may be partial
  int64_t blocks = 0;              // K / kSuperInputs
  // [ceil(rows / kRowBlock)][blocks]
  const ActivationSuperBlock* input = nullptr;
  int64_t rows = 0;
  float* y = nullptr;  // [rows, outputs]
  int64_t y_stride = 0;
};

struct SuperKernels {
  // Quantises x[blocks * kSuperInputs] into row `row` of `out[blocks]`.
  void (*quantize_row)(const float* x, int64_t blocks, int row,
                       ActivationSuperBlock* out);
  void (*matmul_super4)(const SuperMatmul& call);
  void (*matmul_super4_table)(const SuperMatmul& call);
  void (*matmul_super8)(const SuperMatmul& call);
  void (*matmul_super8_zero)(const SuperMatmul& call);
  // Groups of kGroupInputs with a minimum (PackedForm::k8BitMinimum).
  void (*matmul_packed8_minimum)(const PackedMatmul& call);
};

extern const SuperKernels kScalarSuperKernels;
extern const SuperKernels kAvx2SuperKernels;
extern const SuperKernels kAvx512SuperKernels;

}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_SUPER_KERNELS_H_
