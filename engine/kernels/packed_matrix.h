// A weight matrix in tiles of 32 output rows, in one of the forms of README.md,
// and its product by own kernels. Immutable after Pack; owned by a Linear.

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
  PackedMatrix() = default;  // without outputs

  // Packs `source` in a form that its type takes; its inputs are a multiple of
  // the form's block. Tiles are packed in parallel.
  static PackedMatrix Pack(const LinearSource& source, PackedForm form,
                           ThreadTeam* team);
  // Bytes that Pack takes.
  static int64_t PackedBytes(PackedForm form, int64_t outputs, int64_t inputs);

  int64_t outputs() const { return outputs_; }
  int64_t inputs() const { return blocks_ * layout().inputs; }
  int64_t tiles() const { return (outputs_ + kTileOutputs - 1) / kTileOutputs; }
  int64_t bytes() const { return static_cast<int64_t>(data_.size()); }
  PackedForm form() const { return form_; }
  const BlockLayout& layout() const {
    return kBlockLayouts[static_cast<int>(form_)];
  }

  // Block `block` of row `output` of a quantised form, as it was packed.
  WeightBlock Block(int64_t output, int64_t block) const;

  // Row `output` as floats [inputs].
  void DequantizeRow(int64_t output, float* out) const;

  // y[rows, outputs] (row stride y_stride), outputs of tiles [begin, end)
  // only. `input` is that of MatmulCall.
  struct Rows {
    const void* input = nullptr;
    int64_t rows = 0;
    float* y = nullptr;
    int64_t y_stride = 0;
  };
  void MultiplyTiles(const KernelTable& kernels, int64_t tile_begin,
                     int64_t tile_end, const Rows& rows) const;

 private:
  PackedMatrix(const LinearSource& source, PackedForm form);

  int64_t tile_bytes() const { return blocks_ * layout().bytes; }
  void PackTile(const LinearSource& source, int64_t tile);
  void PackRow(const uint8_t* source, int lane, uint8_t* tile) const;

  const WeightFormat* format_ = nullptr;
  PackedForm form_ = PackedForm::k8Bit;
  int64_t outputs_ = 0;
  int64_t blocks_ = 0;
  HugePageBuffer data_;
};

// What a block of a tile holds for row `lane` of it.
void UnpackBlock(PackedForm form, const uint8_t* block, int lane,
                 WeightBlock* out);

}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_PACKED_MATRIX_H_
