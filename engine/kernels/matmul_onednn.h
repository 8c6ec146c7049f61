// Float matmuls through oneDNN: weights in its blocked layout, cut into slices
// of a fixed number of output columns, each slice multiplied by one thread of
// our team. The only file that includes oneDNN's headers or catches exceptions
// is matmul_onednn.cc.
//
// Rows are padded to one of a few row counts (kRowClasses in the .cc), so the
// primitives are bounded and made at load. That a row's bits do not depend on
// how many rows run together or where it stands is checked at load for every
// matrix's shape; where it fails (AVX2), every row runs alone.

#ifndef TANDEM_ENGINE_KERNELS_MATMUL_ONEDNN_H_
#define TANDEM_ENGINE_KERNELS_MATMUL_ONEDNN_H_

#include <cstdint>
#include <memory>
#include <string>

#include "engine/base/status.h"
#include "engine/base/thread_team.h"
#include "engine/kernels/kernel_table.h"
#include "engine/kernels/numerics_mode.h"
#include "engine/kernels/weight_format.h"

namespace tandem {

// A weight matrix [outputs, inputs]. Immutable after Create; owned by a Linear
// and shared by engines.
class OnednnMatrix {
 public:
  // `source` is checked; `mode` is kBf16 or kF32. Errors: FAILED_PRECONDITION
  // with UNSUPPORTED_NUMERICS for bf16 below AVX-512, INTERNAL when oneDNN
  // has no implementation.
  static absl::StatusOr<OnednnMatrix> Create(const LinearSource& source,
                                             NumericsMode mode,
                                             ThreadTeam* team);
  OnednnMatrix(OnednnMatrix&&) noexcept;
  OnednnMatrix& operator=(OnednnMatrix&&) noexcept;
  ~OnednnMatrix();

  // Bytes that Create takes.
  static int64_t PackedBytes(NumericsMode mode, int64_t outputs,
                             int64_t inputs);

  int64_t outputs() const;
  int64_t inputs() const;
  int64_t slices() const;
  int64_t bytes() const;
  // False: oneDNN's result depends on the row count, rows run one by one.
  bool row_invariant() const;
  // Row `output` as the matrix holds it [inputs].
  void DequantizeRow(int64_t output, float* out) const;

  struct State;
  const State& state() const { return *state_; }

 private:
  explicit OnednnMatrix(std::unique_ptr<const State> state);
  std::unique_ptr<const State> state_;
};

// The rows of one engine's matmuls in the matrices' element type, with what
// each team member needs of its own: stream, memory objects, scratch. The
// memory objects of a shape are made when a member first meets it.
class OnednnInput {
 public:
  OnednnInput(NumericsMode mode, int64_t rows_max, int64_t inputs_max);
  ~OnednnInput();

  // Copies x[rows, inputs], rounded once to bf16 in that mode.
  void Set(const float* x, int64_t rows, int64_t inputs,
           const KernelTable& kernels, ThreadTeam* team);

  // y[rows, outputs] (row stride y_stride) of the matrix's slices
  // [begin, end). Called by `member` of the team that Set was given.
  struct Slices {
    int64_t begin = 0;
    int64_t end = 0;
    float* y = nullptr;
    int64_t y_stride = 0;
  };
  void Multiply(const OnednnMatrix& matrix, const Slices& slices, int member);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// A text that changes where oneDNN's bits may: its version and the effective
// instruction set. Part of the fingerprint of float modes.
std::string OnednnSignature();

}  // namespace tandem

#endif  // TANDEM_ENGINE_KERNELS_MATMUL_ONEDNN_H_
