// A weight matrix ready to multiply: y[M, N] = x[M, K] * W[N, K]^T.
//
// Immutable after Create; owned by the model's weights. Forms, by the numerics
// mode: packed quantised blocks (int8, int8+float) or the file's floats in
// tiles (int8+float) for own kernels, or a matrix that oneDNN has reordered
// (bf16, f32). Each output is accumulated over K in
// ascending order whatever M is; threads split outputs, never K. So one row's
// result has the same bits for any M, row position and thread count.

#ifndef TANDEM_ENGINE_KERNELS_LINEAR_H_
#define TANDEM_ENGINE_KERNELS_LINEAR_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/types/span.h"
#include "engine/base/cpu_features.h"
#include "engine/base/status.h"
#include "engine/base/tensor_type.h"
#include "engine/base/thread_team.h"
#include "engine/kernels/numerics_mode.h"

namespace tandem {

class Linear;

// One output of a parallel region: y[rows, weight->outputs()], `stride` floats
// from row to row.
struct MatmulOutput {
  const Linear* weight = nullptr;
  float* y = nullptr;
  int64_t stride = 0;
};

// The matrix as the file holds it: [outputs, inputs], rows contiguous.
struct LinearSource {
  std::string name;  // for messages
  TensorType type = TensorType::kF32;
  absl::Span<const uint8_t> data;
  int64_t outputs = 0;  // N
  int64_t inputs = 0;   // K
};

// The input of matmuls, made ready once for all matrices that share it: the
// float rows and, where own kernels run, each quantised form that one of the
// matrices takes. Scratch: sized at load, never grows. One per engine.
class MatmulInput {
 public:
  MatmulInput(NumericsMode mode, int64_t rows_max, int64_t inputs_max);
  ~MatmulInput();

  // Takes x[rows, inputs] (row-major, unchanged until the last Matmul with it).
  void Set(const float* x, int64_t rows, int64_t inputs, SimdLevel level,
           ThreadTeam* team);

  struct Storage;
  const Storage& storage() const { return *storage_; }

 private:
  friend void Matmul(const MatmulInput& input,
                     absl::Span<const MatmulOutput> outputs, SimdLevel level,
                     ThreadTeam* team);

  std::unique_ptr<Storage> storage_;
};

class Linear {
 public:
  // Packs or reorders `source`, which may be gone afterwards. `team` packs in
  // parallel. Errors: FAILED_PRECONDITION with UNSUPPORTED_NUMERICS (bf16
  // below AVX-512; a float tensor in mode int8 is quantised to Q8_0 only where
  // the model asks), INVALID_ARGUMENT with UNSUPPORTED_MODEL (tensor type or
  // an inputs count that is no multiple of the block; floats that stay floats
  // have no block).
  static absl::StatusOr<Linear> Create(const LinearSource& source,
                                       NumericsMode mode, ThreadTeam* team);
  Linear(Linear&&) noexcept;
  Linear& operator=(Linear&&) noexcept;
  ~Linear();

  int64_t outputs() const;
  int64_t inputs() const;
  // Memory held, in bytes.
  int64_t bytes() const;

  // Row `index` of the matrix as floats [inputs] (token embeddings of tied
  // models).
  void DequantizeRow(int64_t index, float* out) const;

  struct Storage;
  const Storage& storage() const { return *storage_; }

 private:
  explicit Linear(std::unique_ptr<Storage> storage);
  std::unique_ptr<Storage> storage_;
};

// All `outputs` from the same input in one parallel region (q, k, v; gate,
// up). rows are those of the last Set. The first Matmul after Set that needs a
// quantised form of the input makes it; called by one thread at a time.
// Allocates nothing.
void Matmul(const MatmulInput& input, absl::Span<const MatmulOutput> outputs,
            SimdLevel level, ThreadTeam* team);

// Values of `count` elements of `type` as floats, by the format's definition.
// Works for every type that Create takes; count is a multiple of the block.
void Dequantize(TensorType type, const uint8_t* data, int64_t count,
                float* out);

// True for the types that Create and Dequantize take.
bool IsSupportedWeightType(TensorType type);

// True for F32, F16 and BF16.
bool IsFloatWeightType(TensorType type);

// Bytes that Create takes for [outputs, inputs] of `type` in `mode`; nothing
// where it would refuse the type or the shape.
std::optional<int64_t> PackedWeightBytes(TensorType type, int64_t outputs,
                                         int64_t inputs, NumericsMode mode);

// A text that changes where oneDNN's bits may: its version and the effective
// instruction set. Part of the fingerprint of float modes.
std::string OnednnSignature();

}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_LINEAR_H_
