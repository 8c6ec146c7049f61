// A weight matrix quantised in groups of 32 inputs, in tiles of 32 output rows
// (README.md has the layout), and its product with quantised activations.
// Immutable after Pack; owned by a Linear.

#ifndef TANDEM_ENGINE_KERNELS_PACKED_MATRIX_H_
#define TANDEM_ENGINE_KERNELS_PACKED_MATRIX_H_

#include <cstdint>

#include "engine/base/huge_page_buffer.h"
#include "engine/base/thread_team.h"
#include "engine/kernels/kernel_table.h"
#include "engine/kernels/weight_format.h"

namespace tandem {

class PackedMatrix {
 public:
  PackedMatrix() = default;

  // Packs [outputs, inputs] elements of a type that takes a form of groups;
  // inputs is a multiple of kGroupInputs. Tiles are packed in parallel.
  static PackedMatrix Pack(TensorType type, const uint8_t* data,
                           int64_t outputs, int64_t inputs, ThreadTeam* team);
  // Bytes that Pack takes.
  static int64_t PackedBytes(TensorType type, int64_t outputs, int64_t inputs);

  int64_t outputs() const { return outputs_; }
  int64_t inputs() const { return groups_ * kGroupInputs; }
  int64_t tiles() const { return (outputs_ + kTileOutputs - 1) / kTileOutputs; }
  int64_t bytes() const { return static_cast<int64_t>(data_.size()); }
  PackedForm form() const { return form_; }

  // Group `group` of row `output`, as it was packed.
  WeightGroup Group(int64_t output, int64_t group) const;

  // Row `output` as floats [inputs].
  void DequantizeRow(int64_t output, float* out) const;

  // y[rows, outputs] (row stride y_stride), outputs of tiles [begin, end)
  // only. `input` is [ceil(rows / kRowBlock)][inputs / kGroupInputs].
  struct Rows {
    const ActivationGroup* input = nullptr;
    int64_t rows = 0;
    float* y = nullptr;
    int64_t y_stride = 0;
  };
  void MultiplyTiles(const KernelTable& kernels, int64_t tile_begin,
                     int64_t tile_end, const Rows& rows) const;

 private:
  void PackTile(const WeightFormat& format, const uint8_t* data, int64_t tile);

  PackedForm form_ = PackedForm::k8Bit;
  int64_t outputs_ = 0;
  int64_t groups_ = 0;
  int64_t tile_stride_ = 0;  // bytes
  HugePageBuffer data_;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_PACKED_MATRIX_H_
