#include "engine/kernels/packed_matrix.h"

#include <algorithm>
#include <cstring>

#include "engine/base/check.h"

namespace tandem {
namespace {

constexpr int kWordInputs = 4;  // consecutive k of one row in a 32-bit lane
constexpr int kWordBytes = kWordInputs * kTileOutputs;
constexpr int kLineBytes = 64;

// Tiles and the blocks of quantised forms are whole cache lines.
static_assert([] {
  for (const BlockLayout& layout : kBlockLayouts) {
    if (layout.bytes % kLineBytes != 0) return false;
  }
  return true;
}());

// Inputs that are moved of all rows of a tile of floats in turn: a line of each
// source row and, of two bytes each, 4 KiB of the tile, which stay in the
// first-level cache until they are whole.
constexpr int64_t kPackInputs = 64;

// One tile, target[inputs][kTileOutputs], of `lanes` rows of source
// [lanes, inputs].
template <typename T>
void PackFloats(const uint8_t* source, int64_t lanes, int64_t inputs,
                uint8_t* target) {
  for (int64_t begin = 0; begin < inputs; begin += kPackInputs) {
    const int64_t end = std::min(inputs, begin + kPackInputs);
    for (int64_t lane = 0; lane < lanes; ++lane) {
      for (int64_t k = begin; k < end; ++k) {
        std::memcpy(target + (k * kTileOutputs + lane) * sizeof(T),
                    source + (lane * inputs + k) * sizeof(T), sizeof(T));
      }
    }
  }
}

// Byte of the integer of group g of row `lane` among scales or minimums.
int IntegerOffset(int lane, int g) {
  return g / 2 * 2 * kTileOutputs + 2 * lane + g % 2;
}

void StoreBlock(const BlockLayout& layout, const WeightBlock& block, int lane,
                uint8_t* target) {
  std::memcpy(target + layout.scale + 2 * lane, &block.scale, 2);
  if (layout.minimum != 0) {
    std::memcpy(target + layout.minimum + 2 * lane, &block.minimum, 2);
  }
  for (int k = 0; k < layout.inputs && layout.group_inputs != 0;
       k += layout.group_inputs) {
    const int at = IntegerOffset(lane, k / layout.group_inputs);
    const int g = k / kSuperGroupInputs;
    target[layout.scales + at] = static_cast<uint8_t>(block.scales[g]);
    if (layout.minimums != 0) {
      target[layout.minimums + at] = block.minimums[g];
    }
  }
  uint8_t* codes = target + layout.codes + kWordInputs * lane;
  const uint8_t* from = block.codes;
  for (int k = 0; k < layout.inputs; k += 32 / layout.code_bits) {
    if (layout.code_bits == 8) {
      std::memcpy(codes, from, kWordInputs);
      from += kWordInputs;
    } else {
      for (int i = 0; i < kWordInputs; ++i, ++from) {
        codes[i] = static_cast<uint8_t>(from[0] | from[kWordInputs] << 4);
      }
      from += kWordInputs;
    }
    codes += kWordBytes;
  }
}

}  // namespace

void UnpackBlock(PackedForm form, const uint8_t* block, int lane,
                 WeightBlock* out) {
  const BlockLayout& layout = kBlockLayouts[static_cast<int>(form)];
  *out = {};
  std::memcpy(&out->scale, block + layout.scale + 2 * lane, 2);
  if (layout.minimum != 0) {
    std::memcpy(&out->minimum, block + layout.minimum + 2 * lane, 2);
  }
  for (int g = 0; g < kSuperGroups && layout.group_inputs != 0; ++g) {
    const int at =
        IntegerOffset(lane, g * kSuperGroupInputs / layout.group_inputs);
    out->scales[g] = static_cast<int8_t>(block[layout.scales + at]);
    if (layout.minimums != 0) out->minimums[g] = block[layout.minimums + at];
  }
  const uint8_t* codes = block + layout.codes + kWordInputs * lane;
  uint8_t* to = out->codes;
  for (int k = 0; k < layout.inputs; k += 32 / layout.code_bits) {
    if (layout.code_bits == 8) {
      std::memcpy(to, codes, kWordInputs);
      to += kWordInputs;
    } else {
      for (int i = 0; i < kWordInputs; ++i, ++to) {
        to[0] = codes[i] & 15;
        to[kWordInputs] = codes[i] >> 4;
      }
      to += kWordInputs;
    }
    codes += kWordBytes;
  }
}

int64_t PackedMatrix::PackedBytes(PackedForm form, int64_t outputs,
                                  int64_t inputs) {
  const BlockLayout& layout = kBlockLayouts[static_cast<int>(form)];
  TANDEM_CHECK(inputs % layout.inputs == 0);
  return (outputs + kTileOutputs - 1) / kTileOutputs *
         (inputs / layout.inputs) * layout.bytes;
}

PackedMatrix::PackedMatrix(const LinearSource& source, PackedForm form)
    : format_(FindWeightFormat(source.type)),
      form_(form),
      outputs_(source.outputs),
      blocks_(source.inputs / layout().inputs),
      data_(PackedBytes(form, source.outputs, source.inputs)) {
  TANDEM_CHECK(format_ != nullptr &&
               (form == format_->int8_form || form == format_->exact_form));
}

PackedMatrix PackedMatrix::Pack(const LinearSource& source, PackedForm form,
                                ThreadTeam* team) {
  PackedMatrix matrix(source, form);
  team->ParallelFor(matrix.tiles(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      matrix.PackTile(source, tile);
    }
  });
  return matrix;
}

void PackedMatrix::PackTile(const LinearSource& source, int64_t tile) {
  // Lanes past the last output stay 0, scale and weight, and what they compute
  // is not read.
  const int64_t lanes =
      std::min<int64_t>(kTileOutputs, outputs_ - tile * kTileOutputs);
  const int64_t row_bytes = WeightBytes(source.type, source.inputs);
  const uint8_t* from = source.data.data() + tile * kTileOutputs * row_bytes;
  uint8_t* target = data_.data() + tile * tile_bytes();
  if (layout().code_bits == 16) {
    PackFloats<uint16_t>(from, lanes, source.inputs, target);
  } else if (layout().code_bits == 32) {
    PackFloats<uint32_t>(from, lanes, source.inputs, target);
  } else {
    for (int lane = 0; lane < lanes; ++lane, from += row_bytes) {
      PackRow(from, lane, target);
    }
  }
}

void PackedMatrix::PackRow(const uint8_t* source, int lane,
                           uint8_t* tile) const {
  const int64_t source_bytes = WeightBytes(format_->type, layout().inputs);
  for (int64_t b = 0; b < blocks_; ++b) {
    WeightBlock block;
    format_->pack(source, &block);
    StoreBlock(layout(), block, lane, tile);
    source += source_bytes;
    tile += layout().bytes;
  }
}

WeightBlock PackedMatrix::Block(int64_t output, int64_t block) const {
  TANDEM_CHECK(output >= 0 && output < outputs_ && block >= 0 &&
               block < blocks_ && layout().inputs > 1);
  WeightBlock result;
  UnpackBlock(form_,
              data_.data() + output / kTileOutputs * tile_bytes() +
                  block * layout().bytes,
              static_cast<int>(output % kTileOutputs), &result);
  return result;
}

void PackedMatrix::DequantizeRow(int64_t output, float* out) const {
  const int element_bytes = layout().code_bits / 8;
  const uint8_t* tile = data_.data() + output / kTileOutputs * tile_bytes();
  for (int64_t b = 0; b < blocks_; ++b, out += layout().inputs) {
    if (layout().inputs > 1) {
      BlockValues(form_, Block(output, b), out);
    } else {
      const int64_t at = b * kTileOutputs + output % kTileOutputs;
      format_->dequantize(tile + at * element_bytes, 1, out);
    }
  }
}

void PackedMatrix::MultiplyTiles(const KernelTable& kernels, int64_t tile_begin,
                                 int64_t tile_end, const Rows& rows) const {
  const int64_t first = tile_begin * kTileOutputs;
  kernels.matmul[static_cast<int>(form_)](
      {.tiles = data_.data() + tile_begin * tile_bytes(),
       .outputs = std::min(outputs_, tile_end * kTileOutputs) - first,
       .blocks = blocks_,
       .input = rows.input,
       .rows = rows.rows,
       .y = rows.y + first,
       .y_stride = rows.y_stride});
}

}  // namespace tandem
