#include "engine/kernels/packed_matrix.h"

#include <algorithm>
#include <cstring>

#include "engine/base/check.h"
#include "engine/kernels/super_kernels.h"

namespace tandem {
namespace {

constexpr int kWordInputs = 4;  // consecutive k of one row in a 32-bit lane
constexpr int64_t kTileAlignment = 64;  // a cache line
constexpr int kVectorBytes = kWordInputs * kTileOutputs;

// Byte of element k of row `lane` among a group's codes, and for the 4-bit
// form which nibble of it (0: low, 1: high).
int CodeOffset8(int lane, int k) {
  return k / kWordInputs * kVectorBytes + lane * kWordInputs + k % kWordInputs;
}
int CodeOffset4(int lane, int k) {
  return k / (2 * kWordInputs) * kVectorBytes + lane * kWordInputs +
         k % kWordInputs;
}
int CodeNibble4(int k) { return k / kWordInputs % 2; }

int64_t CodeBytes(PackedForm form) {
  return form == PackedForm::k4Bit ? kPacked4CodeBytes : kPacked8CodeBytes;
}

int64_t GroupBytes(PackedForm form) {
  const int halves = form == PackedForm::k8BitMinimum ? 2 : 1;
  return CodeBytes(form) + halves * kScaleBytes;
}

void StoreCodes(PackedForm form, const WeightGroup& group, int lane,
                uint8_t* codes) {
  for (int k = 0; k < kGroupInputs; ++k) {
    if (form == PackedForm::k4Bit) {
      codes[CodeOffset4(lane, k)] |=
          static_cast<uint8_t>(group.codes[k] << (4 * CodeNibble4(k)));
    } else {
      codes[CodeOffset8(lane, k)] = group.codes[k];
    }
  }
}

}  // namespace

int64_t PackedMatrix::PackedBytes(TensorType type, int64_t outputs,
                                  int64_t inputs) {
  const WeightFormat* format = FindWeightFormat(type);
  TANDEM_CHECK(format != nullptr && !IsSuperForm(format->form) &&
               inputs % kGroupInputs == 0);
  const int64_t tile_bytes = inputs / kGroupInputs * GroupBytes(format->form);
  static_assert(kPacked4GroupBytes % kTileAlignment == 0 &&
                kPacked8GroupBytes % kTileAlignment == 0 &&
                kPacked8MinimumGroupBytes % kTileAlignment == 0);
  return (outputs + kTileOutputs - 1) / kTileOutputs * tile_bytes;
}

PackedMatrix PackedMatrix::Pack(TensorType type, const uint8_t* data,
                                int64_t outputs, int64_t inputs,
                                ThreadTeam* team) {
  const WeightFormat* format = FindWeightFormat(type);
  PackedMatrix matrix;
  matrix.data_ = HugePageBuffer(PackedBytes(type, outputs, inputs));
  matrix.form_ = format->form;
  matrix.outputs_ = outputs;
  matrix.groups_ = inputs / kGroupInputs;
  matrix.tile_stride_ = matrix.groups_ * GroupBytes(format->form);
  team->ParallelFor(matrix.tiles(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      matrix.PackTile(*format, data, tile);
    }
  });
  return matrix;
}

void PackedMatrix::PackTile(const WeightFormat& format, const uint8_t* data,
                            int64_t tile) {
  const int64_t row_bytes = WeightBytes(format.type, inputs());
  const int64_t source_bytes = WeightBytes(format.type, kGroupInputs);
  // Lanes past the last output keep scale 0, so what they compute is 0.
  const int64_t lanes =
      std::min<int64_t>(kTileOutputs, outputs_ - tile * kTileOutputs);
  for (int64_t lane = 0; lane < lanes; ++lane) {
    const uint8_t* source = data + (tile * kTileOutputs + lane) * row_bytes;
    uint8_t* target = data_.data() + tile * tile_stride_;
    for (int64_t g = 0; g < groups_; ++g) {
      WeightGroup group;
      format.pack_group(source, &group);
      StoreCodes(form_, group, static_cast<int>(lane), target);
      uint8_t* halves = target + CodeBytes(form_) + 2 * lane;
      std::memcpy(halves, &group.scale, 2);
      if (form_ == PackedForm::k8BitMinimum) {
        std::memcpy(halves + kScaleBytes, &group.minimum, 2);
      }
      source += source_bytes;
      target += GroupBytes(form_);
    }
  }
}

WeightGroup PackedMatrix::Group(int64_t output, int64_t group) const {
  TANDEM_CHECK(output >= 0 && output < outputs_ && group >= 0 &&
               group < groups_);
  const uint8_t* codes = data_.data() + output / kTileOutputs * tile_stride_ +
                         group * GroupBytes(form_);
  const int lane = static_cast<int>(output % kTileOutputs);
  WeightGroup result = {};
  for (int k = 0; k < kGroupInputs; ++k) {
    result.codes[k] =
        form_ == PackedForm::k4Bit
            ? (codes[CodeOffset4(lane, k)] >> (4 * CodeNibble4(k))) & 15
            : codes[CodeOffset8(lane, k)];
  }
  const uint8_t* halves = codes + CodeBytes(form_) + 2 * lane;
  std::memcpy(&result.scale, halves, 2);
  if (form_ == PackedForm::k8BitMinimum) {
    std::memcpy(&result.minimum, halves + kScaleBytes, 2);
  }
  return result;
}

void PackedMatrix::DequantizeRow(int64_t output, float* out) const {
  for (int64_t g = 0; g < groups_; ++g) {
    GroupValues(form_, Group(output, g), out + g * kGroupInputs);
  }
}

void PackedMatrix::MultiplyTiles(const KernelTable& kernels, int64_t tile_begin,
                                 int64_t tile_end, const Rows& rows) const {
  const int64_t first = tile_begin * kTileOutputs;
  const PackedMatmul call = {
      .tiles = data_.data() + tile_begin * tile_stride_,
      .tile_stride = tile_stride_,
      .outputs = std::min(outputs_, tile_end * kTileOutputs) - first,
      .groups = groups_,
      .input = rows.input,
      .rows = rows.rows,
      .y = rows.y + first,
      .y_stride = rows.y_stride,
  };
  switch (form_) {
    case PackedForm::k4Bit:
      kernels.matmul_packed4(call);
      return;
    case PackedForm::k8Bit:
      kernels.matmul_packed8(call);
      return;
    default:
      TANDEM_CHECK(form_ == PackedForm::k8BitMinimum);
      kernels.super->matmul_packed8_minimum(call);
  }
}

}  // namespace tandem
