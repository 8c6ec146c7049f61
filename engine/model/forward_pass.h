// One pass of the model over a batch: the layers, then the head for the rows
// that are wanted. Made for one Step on the compute thread that owns `state`;
// allocates nothing.
//
// A row's result depends only on the tokens before it: every matmul and norm
// works row by row, all rows store their keys and values before any row reads
// one, and attention reads them only as stored, block by block in ascending
// order. Team members split outputs, never a sum.

#ifndef TANDEM_ENGINE_MODEL_FORWARD_PASS_H_
#define TANDEM_ENGINE_MODEL_FORWARD_PASS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "engine/base/aligned_buffer.h"
#include "engine/kernels/kernel_table.h"
#include "engine/model/config.h"
#include "engine/model/model_state.h"
#include "engine/model/step.h"
#include "engine/model/weights.h"

namespace tandem {

class ForwardPass {
 public:
  // All outlive the pass. `state` was made for this config.
  ForwardPass(const ModelConfig& config, const ModelWeights& weights,
              ModelState* state);

  // `batch` has passed state->CheckBatch.
  void Run(absl::Span<const StepItem> batch, RowConsumer* consumer);

 private:
  // Lists rows and wanted rows of the batch and sets the sequences' lengths.
  void PlaceRows(absl::Span<const StepItem> batch);
  // Cuts the rows of one item, `count` from `begin` on, into row groups.
  void PlaceGroups(int64_t begin, int64_t count);
  // residual = the embeddings of the rows' tokens.
  void Embed();
  // residual += attention(norm(residual)), for layer number `index`.
  void AddAttention(const LayerWeights& layer, int64_t index);
  // residual += down(activation(gate) * up), of norm(residual).
  void AddFeedForward(const LayerWeights& layer);
  // The logits of the wanted rows, a tile at a time, to `consumer`.
  void RunHead(RowConsumer* consumer);

  // normed = norm(residual), row by row.
  void Norm(const AlignedBuffer<float>& weight);
  // Adds biases, norms heads, rotates query and key by the rows' positions and
  // stores key and value.
  void RotateAndStore(const LayerWeights& weights, int64_t layer);
  // Rotates `heads` heads of x, after `bias` and `norm` where they are not
  // empty.
  void FinishHeads(float* x, int64_t heads, const AlignedBuffer<float>& bias,
                   const AlignedBuffer<float>& norm,
                   const float* cos_sin) const;
  // residual += delta, scaled, after `norm` where that is not empty.
  void AddDelta(const AlignedBuffer<float>& norm);
  // Scales and caps the first `rows` rows of logits.
  void FinishLogits(int64_t rows);

  // Calls body(member, begin, end) for slices of [0, count) on the team, or
  // once on this thread where `elements`, the floats touched in all, are so
  // few that a region costs more than it gains.
  template <typename Body>
  void Split(int64_t count, int64_t elements, const Body& body);

  const ModelConfig& config_;
  const ModelWeights& weights_;
  ModelState& state_;
  Activations& scratch_;
  const KernelTable& kernels_;
  int64_t rows_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_MODEL_FORWARD_PASS_H_
