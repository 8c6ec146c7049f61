#include "engine/kernels/super_matrix.h"

#include <algorithm>
#include <cstring>

#include "engine/base/check.h"

namespace tandem {
namespace {

constexpr int kWordInputs = 4;  // consecutive k of one row in a 32-bit lane
constexpr int kVectorBytes = kWordInputs * kTileOutputs;

// A SuperLayout as values, and the kernel of the form.
struct Layout {
  int code_bits;
  bool has_minimums;
  int scale_inputs;
  int scales_at;
  int minimums_at;
  int codes_at;
  int bytes;
  void (*SuperKernels::*kernel)(const SuperMatmul&);

  int groups() const { return kSuperInputs / scale_inputs; }
};

template <typename T>
constexpr Layout LayoutOf(void (*SuperKernels::*kernel)(const SuperMatmul&)) {
  return {.code_bits = T::kCodeBits,
          .has_minimums = T::kHasMinimums,
          .scale_inputs = T::kScaleInputs,
          .scales_at = T::kScalesAt,
          .minimums_at = T::kMinimumsAt,
          .codes_at = T::kCodesAt,
          .bytes = T::kBytes,
          .kernel = kernel};
}

Layout LayoutFor(PackedForm form) {
  switch (form) {
    case PackedForm::kSuper4:
      return LayoutOf<Super4Layout>(&SuperKernels::matmul_super4);
    case PackedForm::kSuper4Table:
      return LayoutOf<Super4TableLayout>(&SuperKernels::matmul_super4_table);
    case PackedForm::kSuper8:
      return LayoutOf<Super8Layout>(&SuperKernels::matmul_super8);
    default:
      TANDEM_CHECK(form == PackedForm::kSuper8Zero);
      return LayoutOf<Super8ZeroLayout>(&SuperKernels::matmul_super8_zero);
  }
}

// Byte of element k of row `lane` among the codes, and in the 4-bit form which
// nibble of it (0: low, 1: high).
int CodeOffset(const Layout& layout, int lane, int k) {
  const int word = k / kWordInputs;
  return (layout.code_bits == 4 ? word / 2 : word) * kVectorBytes +
         lane * kWordInputs + k % kWordInputs;
}
int CodeNibble(const Layout& layout, int k) {
  return layout.code_bits == 4 ? k / kWordInputs % 2 : 0;
}

// Byte of the integer of group g of row `lane` among scales or minimums.
int IntegerOffset(int lane, int g) {
  return g / 2 * 2 * kTileOutputs + 2 * lane + g % 2;
}

void StoreBlock(const Layout& layout, const WeightSuperBlock& block, int lane,
                uint8_t* target) {
  std::memcpy(target + 2 * lane, &block.scale, 2);
  std::memcpy(target + kScaleBytes + 2 * lane, &block.minimum, 2);
  const int step = layout.scale_inputs / kSuperGroupInputs;
  for (int g = 0; g < layout.groups(); ++g) {
    const int at = IntegerOffset(lane, g);
    target[layout.scales_at + at] =
        static_cast<uint8_t>(block.scales[g * step]);
    if (layout.has_minimums) {
      target[layout.minimums_at + at] = block.minimums[g * step];
    }
  }
  uint8_t* codes = target + layout.codes_at;
  for (int k = 0; k < kSuperInputs; ++k) {
    codes[CodeOffset(layout, lane, k)] |=
        static_cast<uint8_t>(block.codes[k] << (4 * CodeNibble(layout, k)));
  }
}

}  // namespace

int64_t SuperMatrix::PackedBytes(TensorType type, int64_t outputs,
                                 int64_t inputs) {
  const WeightFormat* format = FindWeightFormat(type);
  TANDEM_CHECK(format != nullptr && IsSuperForm(format->form) &&
               inputs % kSuperInputs == 0);
  return (outputs + kTileOutputs - 1) / kTileOutputs * (inputs / kSuperInputs) *
         LayoutFor(format->form).bytes;
}

SuperMatrix SuperMatrix::Pack(TensorType type, const uint8_t* data,
                              int64_t outputs, int64_t inputs,
                              ThreadTeam* team) {
  const WeightFormat* format = FindWeightFormat(type);
  SuperMatrix matrix;
  matrix.data_ = HugePageBuffer(PackedBytes(type, outputs, inputs));
  matrix.form_ = format->form;
  matrix.outputs_ = outputs;
  matrix.blocks_ = inputs / kSuperInputs;
  matrix.tile_stride_ = matrix.blocks_ * LayoutFor(format->form).bytes;
  team->ParallelFor(matrix.tiles(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      matrix.PackTile(*format, data, tile);
    }
  });
  return matrix;
}

void SuperMatrix::PackTile(const WeightFormat& format, const uint8_t* data,
                           int64_t tile) {
  const Layout layout = LayoutFor(form_);
  const int64_t row_bytes = WeightBytes(format.type, inputs());
  const int64_t source_bytes = WeightBytes(format.type, kSuperInputs);
  // Lanes past the last output keep scale 0, so what they compute is 0.
  const int64_t lanes =
      std::min<int64_t>(kTileOutputs, outputs_ - tile * kTileOutputs);
  for (int64_t lane = 0; lane < lanes; ++lane) {
    const uint8_t* source = data + (tile * kTileOutputs + lane) * row_bytes;
    uint8_t* target = data_.data() + tile * tile_stride_;
    for (int64_t b = 0; b < blocks_; ++b) {
      WeightSuperBlock block;
      format.pack_super(source, &block);
      StoreBlock(layout, block, static_cast<int>(lane), target);
      source += source_bytes;
      target += layout.bytes;
    }
  }
}

WeightSuperBlock SuperMatrix::Block(int64_t output, int64_t block) const {
  TANDEM_CHECK(output >= 0 && output < outputs_ && block >= 0 &&
               block < blocks_);
  const Layout layout = LayoutFor(form_);
  const uint8_t* source = data_.data() + output / kTileOutputs * tile_stride_ +
                          block * layout.bytes;
  const int lane = static_cast<int>(output % kTileOutputs);
  WeightSuperBlock result = {};
  std::memcpy(&result.scale, source + 2 * lane, 2);
  std::memcpy(&result.minimum, source + kScaleBytes + 2 * lane, 2);
  for (int g = 0; g < kSuperGroups; ++g) {
    const int at =
        IntegerOffset(lane, g * kSuperGroupInputs / layout.scale_inputs);
    result.scales[g] = static_cast<int8_t>(source[layout.scales_at + at]);
    if (layout.has_minimums) {
      result.minimums[g] = source[layout.minimums_at + at];
    }
  }
  const uint8_t* codes = source + layout.codes_at;
  const int mask = layout.code_bits == 4 ? 15 : 255;
  for (int k = 0; k < kSuperInputs; ++k) {
    const int byte = codes[CodeOffset(layout, lane, k)];
    result.codes[k] =
        static_cast<uint8_t>(byte >> (4 * CodeNibble(layout, k)) & mask);
  }
  return result;
}

void SuperMatrix::DequantizeRow(int64_t output, float* out) const {
  for (int64_t b = 0; b < blocks_; ++b) {
    SuperBlockValues(form_, Block(output, b), out + b * kSuperInputs);
  }
}

void SuperMatrix::MultiplyTiles(const KernelTable& kernels, int64_t tile_begin,
                                int64_t tile_end, const Rows& rows) const {
  const int64_t first = tile_begin * kTileOutputs;
  const SuperMatmul call = {
      .tiles = data_.data() + tile_begin * tile_stride_,
      .tile_stride = tile_stride_,
      .outputs = std::min(outputs_, tile_end * kTileOutputs) - first,
      .blocks = blocks_,
      .input = rows.input,
      .rows = rows.rows,
      .y = rows.y + first,
      .y_stride = rows.y_stride,
  };
  (kernels.super->*LayoutFor(form_).kernel)(call);
}

}  // namespace tandem
