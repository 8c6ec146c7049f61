// A matrix of F16, BF16 or F32 weights as the file has them, in tiles of 32
// output rows (README.md has the layout), and its product with float
// activations. Immutable after Pack; owned by a Linear.

#ifndef TANDEM_ENGINE_KERNELS_FLOAT_MATRIX_H_
#define TANDEM_ENGINE_KERNELS_FLOAT_MATRIX_H_

#include <cstdint>

#include "engine/base/huge_page_buffer.h"
#include "engine/base/tensor_type.h"
#include "engine/base/thread_team.h"
#include "engine/kernels/kernel_table.h"

namespace tandem {

class FloatMatrix {
 public:
  FloatMatrix() = default;

  // Packs [outputs, inputs] elements of a float type. Tiles are packed in
  // parallel.
  static FloatMatrix Pack(TensorType type, const uint8_t* data, int64_t outputs,
                          int64_t inputs, ThreadTeam* team);
  // Bytes that Pack takes.
  static int64_t PackedBytes(TensorType type, int64_t outputs, int64_t inputs);

  int64_t outputs() const { return outputs_; }
  int64_t inputs() const { return inputs_; }
  int64_t tiles() const { return (outputs_ + kTileOutputs - 1) / kTileOutputs; }
  int64_t bytes() const { return static_cast<int64_t>(data_.size()); }

  // Row `output` as floats [inputs].
  void DequantizeRow(int64_t output, float* out) const;

  // y[rows, outputs] (row stride y_stride), outputs of tiles [begin, end)
  // only.
  struct Rows {
    const float* x = nullptr;  // [rows, inputs]
    int64_t rows = 0;
    float* y = nullptr;
    int64_t y_stride = 0;
  };
  void MultiplyTiles(const KernelTable& kernels, int64_t tile_begin,
                     int64_t tile_end, const Rows& rows) const;

 private:
  int64_t tile_bytes() const;

  TensorType type_ = TensorType::kF32;
  int64_t outputs_ = 0;
  int64_t inputs_ = 0;
  HugePageBuffer data_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_FLOAT_MATRIX_H_
