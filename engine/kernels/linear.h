// A weight matrix ready to multiply: y[M, N] = x[M, K] * W[N, K]^T.
//
// Forms, by the numerics mode: packed quantised blocks (int8, int8+float) or
// the file's floats in tiles (int8+float) for own kernels, or a matrix that
// oneDNN has reordered (bf16, f32). Each output is accumulated over K in
// ascending order whatever M is; threads split outputs, never K. So one row's
// result has the same bits for any M, row position and thread count.

#ifndef TANDEM_ENGINE_KERNELS_LINEAR_H_
#define TANDEM_ENGINE_KERNELS_LINEAR_H_

#include <cstdint>
#include <optional>
#include <utility>
#include <variant>

#include "absl/types/span.h"
#include "engine/base/aligned_buffer.h"
#include "engine/base/status.h"
#include "engine/base/tensor_type.h"
#include "engine/base/thread_team.h"
#include "engine/kernels/kernel_table.h"
#include "engine/kernels/matmul_onednn.h"
#include "engine/kernels/numerics_mode.h"
#include "engine/kernels/packed_matrix.h"
#include "engine/kernels/weight_format.h"

namespace tandem {

// Immutable after Create; owned by the model's weights, shared by engines.
class Linear {
 public:
  Linear() = default;  // without outputs

  // Packs or reorders `source`, which may be gone afterwards. `team` packs in
  // parallel. Errors: FAILED_PRECONDITION with UNSUPPORTED_NUMERICS (bf16
  // below AVX-512; a float tensor in mode int8 is quantised to Q8_0 only where
  // the model asks), INVALID_ARGUMENT with UNSUPPORTED_MODEL (tensor type or
  // an inputs count that is no multiple of the block; floats that stay floats
  // have no block).
  static absl::StatusOr<Linear> Create(const LinearSource& source,
                                       NumericsMode mode, ThreadTeam* team);

  int64_t outputs() const;
  int64_t inputs() const;
  // Memory held, in bytes.
  int64_t bytes() const;
  // Parts that threads share out: tiles or slices of outputs.
  int64_t units() const;

  // Row `index` of the matrix as floats [inputs] (token embeddings of tied
  // models).
  void DequantizeRow(int64_t index, float* out) const;

  // One of the two is null.
  const PackedMatrix* packed() const {
    return std::get_if<PackedMatrix>(&matrix_);
  }
  const OnednnMatrix* onednn() const {
    return std::get_if<OnednnMatrix>(&matrix_);
  }

 private:
  using Matrix = std::variant<PackedMatrix, OnednnMatrix>;

  explicit Linear(Matrix matrix) : matrix_(std::move(matrix)) {}

  Matrix matrix_;
};

// Where a product goes: y[rows, weight->outputs()].
struct MatmulOutput {
  const Linear* weight = nullptr;
  float* y = nullptr;
};

// Multiplies rows by matrices. Holds the quantised forms of the rows: scratch
// that is sized at load and never grows. One per engine; used by one thread at
// a time.
class Multiplier {
 public:
  // `kernels` and `team` outlive it.
  Multiplier(NumericsMode mode, int64_t rows_max, int64_t inputs_max,
             const KernelTable& kernels, ThreadTeam* team);

  // All `outputs` from the same x[rows, inputs] in one parallel region (q, k,
  // v; gate, up); all matrices are of the mode and have as many inputs. x is
  // quantised once for each form that one of them takes. Allocates nothing.
  void Multiply(const float* x, int64_t rows,
                absl::Span<const MatmulOutput> outputs);

 private:
  // Rows of x block by block: [row blocks][blocks].
  template <typename T>
  void Quantize(void (*quantize)(const float*, int64_t, int, T*),
                int64_t block_inputs, AlignedBuffer<T>* out);
  // The form of x that a matrix of `layout` takes.
  const void* InputFor(const BlockLayout& layout) const;
  void RunChunk(absl::Span<const MatmulOutput> outputs, int64_t begin,
                int64_t end, int member);

  const NumericsMode mode_;
  const int64_t rows_max_;
  const int64_t inputs_max_;
  const KernelTable& kernels_;
  ThreadTeam& team_;
  const float* x_ = nullptr;  // [rows_, inputs_], of the product in work
  int64_t rows_ = 0;
  int64_t inputs_ = 0;
  // For own kernels: [row blocks][groups] and [row blocks][super-blocks] of x.
  AlignedBuffer<ActivationGroup> groups_;
  AlignedBuffer<ActivationSuperBlock> super_blocks_;
  // oneDNN's modes. Its thread contexts change during a product, each by its
  // own thread only.
  std::optional<OnednnInput> floats_;
};

// True for the types that Create takes.
bool IsSupportedWeightType(TensorType type);

// Bytes that Create takes for [outputs, inputs] of `type` in `mode`; nothing
// where it would refuse the type or the shape.
std::optional<int64_t> PackedWeightBytes(TensorType type, int64_t outputs,
                                         int64_t inputs, NumericsMode mode);

}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_LINEAR_H_
