#include "engine/kernels/float_matrix.h"

#include <algorithm>
#include <cstring>

#include "engine/base/check.h"
#include "engine/kernels/linear.h"
#include "engine/kernels/weight_format.h"

namespace tandem {
namespace {

// Inputs that are moved of all rows of a tile in turn: a line of each source
// row and, of two bytes each, 4 KiB of the tile, which stay in the first-level
// cache until they are whole.
constexpr int64_t kPackInputs = 64;

// One tile, target[inputs][kTileOutputs], of `lanes` rows of source
// [lanes, inputs].
template <typename T>
void PackTile(const uint8_t* source, int64_t lanes, int64_t inputs,
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

}  // namespace

int64_t FloatMatrix::PackedBytes(TensorType type, int64_t outputs,
                                 int64_t inputs) {
  TANDEM_CHECK(IsFloatWeightType(type));
  return (outputs + kTileOutputs - 1) / kTileOutputs *
         WeightBytes(type, inputs * kTileOutputs);
}

int64_t FloatMatrix::tile_bytes() const {
  return WeightBytes(type_, inputs_ * kTileOutputs);
}

FloatMatrix FloatMatrix::Pack(TensorType type, const uint8_t* data,
                              int64_t outputs, int64_t inputs,
                              ThreadTeam* team) {
  FloatMatrix matrix;
  matrix.data_ = HugePageBuffer(PackedBytes(type, outputs, inputs));
  matrix.type_ = type;
  matrix.outputs_ = outputs;
  matrix.inputs_ = inputs;
  const auto pack =
      type == TensorType::kF32 ? PackTile<uint32_t> : PackTile<uint16_t>;
  const int64_t row_bytes = WeightBytes(type, inputs);
  team->ParallelFor(matrix.tiles(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      // Lanes past the last output stay 0, and nobody reads what they give.
      const int64_t first = tile * kTileOutputs;
      pack(data + first * row_bytes,
           std::min<int64_t>(kTileOutputs, outputs - first), inputs,
           matrix.data_.data() + tile * matrix.tile_bytes());
    }
  });
  return matrix;
}

void FloatMatrix::DequantizeRow(int64_t output, float* out) const {
  const int64_t element_bytes = WeightBytes(type_, 1);
  const uint8_t* source = data_.data() + output / kTileOutputs * tile_bytes() +
                          output % kTileOutputs * element_bytes;
  for (int64_t k = 0; k < inputs_; ++k) {
    Dequantize(type_, source + k * kTileOutputs * element_bytes, 1, out + k);
  }
}

void FloatMatrix::MultiplyTiles(const KernelTable& kernels, int64_t tile_begin,
                                int64_t tile_end, const Rows& rows) const {
  const int64_t first = tile_begin * kTileOutputs;
  const FloatMatmul call = {
      .tiles = data_.data() + tile_begin * tile_bytes(),
      .outputs = std::min(outputs_, tile_end * kTileOutputs) - first,
      .inputs = inputs_,
      .x = rows.x,
      .rows = rows.rows,
      .y = rows.y + first,
      .y_stride = rows.y_stride,
  };
  switch (type_) {
    case TensorType::kF16:
      kernels.matmul_f16(call);
      return;
    case TensorType::kBF16:
      kernels.matmul_bf16(call);
      return;
    default:
      TANDEM_CHECK(type_ == TensorType::kF32);
      kernels.matmul_f32(call);
  }
}

}  // namespace tandem
