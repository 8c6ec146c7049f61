// A quantised weight matrix of super-blocks in tiles of 32 output rows
// (README.md has the layout), and its product with quantised activations.
// Immutable after Pack; owned by a Linear.

#ifndef TANDEM_ENGINE_KERNELS_SUPER_MATRIX_H_
#define TANDEM_ENGINE_KERNELS_SUPER_MATRIX_H_

#include <cstdint>

#include "engine/base/huge_page_buffer.h"
#include "engine/base/thread_team.h"
#include "engine/kernels/kernel_table.h"
#include "engine/kernels/super_kernels.h"
#include "engine/kernels/weight_format.h"

namespace tandem {

class SuperMatrix {
 public:
  SuperMatrix() = default;

  // Packs [outputs, inputs] elements of a type that takes a super form; inputs
  // is a multiple of kSuperInputs. Tiles are packed in parallel.
  static SuperMatrix Pack(TensorType type, const uint8_t* data, int64_t outputs,
                          int64_t inputs, ThreadTeam* team);
  // Bytes that Pack takes.
  static int64_t PackedBytes(TensorType type, int64_t outputs, int64_t inputs);

  int64_t outputs() const { return outputs_; }
  int64_t inputs() const { return blocks_ * kSuperInputs; }
  int64_t tiles() const { return (outputs_ + kTileOutputs - 1) / kTileOutputs; }
  int64_t bytes() const { return static_cast<int64_t>(data_.size()); }
  PackedForm form() const { return form_; }

  // Super-block `block` of row `output`, as it was packed.
  WeightSuperBlock Block(int64_t output, int64_t block) const;

  // Row `output` as floats [inputs].
  void DequantizeRow(int64_t output, float* out) const;

  // y[rows, outputs] (row stride y_stride), outputs of tiles [begin, end)
  // only. `input` is [ceil(rows / kRowBlock)][inputs / kSuperInputs].
  struct Rows {
    const ActivationSuperBlock* input = nullptr;
    int64_t rows = 0;
    float* y = nullptr;
    int64_t y_stride = 0;
  };
  void MultiplyTiles(const KernelTable& kernels, int64_t tile_begin,
                     int64_t tile_end, const Rows& rows) const;

 private:
  void PackTile(const WeightFormat& format, const uint8_t* data, int64_t tile);

  PackedForm form_ = PackedForm::kSuper8;
  int64_t outputs_ = 0;
  int64_t blocks_ = 0;
  int64_t tile_stride_ = 0;  // bytes
  HugePageBuffer data_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_SUPER_MATRIX_H_
