// What passes of one model change: the KV cache, the activations, the thread
// team. Owned by an engine and used on its compute thread; the page
// counts of kv() may be read from any thread. Allocates nothing after Create;
// the memory of what is as long as a context is taken as sequences reach it.

#ifndef TANDEM_ENGINE_MODEL_MODEL_STATE_H_
#define TANDEM_ENGINE_MODEL_MODEL_STATE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/aligned_buffer.h"
#include "engine/base/cpu_features.h"
#include "engine/base/huge_page_buffer.h"
#include "engine/base/status.h"
#include "engine/base/thread_team.h"
#include "engine/base/types.h"
#include "engine/kernels/linear.h"
#include "engine/kernels/numerics_mode.h"
#include "engine/model/config.h"
#include "engine/model/kv_cache.h"
#include "engine/model/rope.h"
#include "engine/model/step.h"

namespace tandem {

// Rows of logits that exist at a time: enough for a verification of the
// longest draft, few enough that a large vocabulary costs little memory.
inline constexpr int kHeadTileRows = 32;

struct ModelStateOptions {
  NumericsMode numerics = NumericsMode::kF32;
  KvType kv_type = KvType::kF32;
  int threads = 1;
  Pinning pinning = Pinning::kNone;
  SimdLevel level = SimdLevel::kScalar;
  Position context_max = 0;  // at most the config's context_length
  int64_t kv_pages = 0;
  int rows_max = 0;
  int sequences_max = 0;
  bool prefix_cache = false;
};

// One token of a pass.
struct PassRow {
  SequenceId sequence = 0;
  Position position = 0;
  TokenId token = 0;
};

// One row of logits to make: the pass's row `pass_row` is wanted row `row` of
// item `item`.
struct WantedRow {
  int64_t pass_row = 0;
  size_t item = 0;
  size_t row = 0;
};

// Rows of a pass that attention takes together: consecutive positions of one
// sequence.
struct RowGroup {
  int64_t begin = 0;
  int64_t count = 0;
};

// Rows that a pass may have where the spans of one row are shared out among
// the team; more rows are shared out themselves.
inline constexpr int64_t kSpanRowsMax = 16;

// Scratch of a pass. All matrices are row-major, rows_max rows.
struct Activations {
  std::vector<PassRow> rows;      // of this pass; capacity rows_max
  std::vector<WantedRow> wanted;  // of this pass; capacity rows_max
  std::vector<RowGroup> groups;   // of this pass; capacity rows_max
  AlignedBuffer<float> residual;  // [rows, width]
  AlignedBuffer<float> normed;    // [rows, width]
  AlignedBuffer<float> query;     // [rows, query_width]
  AlignedBuffer<float> key;       // [rows, kv_width]
  AlignedBuffer<float> value;     // [rows, kv_width]
  AlignedBuffer<float> attended;  // [rows, query_width]
  AlignedBuffer<float> delta;     // [rows, width]: what a block adds
  AlignedBuffer<float> gate;      // [rows, feed_forward_width]
  AlignedBuffer<float> up;        // [rows, feed_forward_width]
  AlignedBuffer<float> logits;    // [kHeadTileRows, vocab_size]
  // Of each team member: the queries of one row group and KV head, and the same
  // again for the span in work.
  int64_t group_queries = 0;  // of a row group and KV head, at most
  std::vector<AttentionQuery> member_queries;  // [threads, 2, group_queries]
  // [threads, 2, group_queries, head_dim]
  AlignedBuffer<float> member_values;
  // What the spans of each row and head give, where spans are shared out.
  // [spans of the longest sequence, kv_heads, kSpanRowsMax, heads of a KV head]
  HugePageArray<AttentionQuery> span_queries;
  // The same, [..., head_dim].
  HugePageArray<float> span_values;
};

// What a ModelState takes beside its KV pages, for a plan that is made before
// there is one.
struct StateFootprint {
  int64_t scratch_bytes = 0;   // whatever the sequences do
  int64_t position_bytes = 0;  // for each position of the longest sequence
  KvFootprint kv;
};
// options.kv_pages is not looked at.
StateFootprint FootprintOf(const ModelConfig& config,
                           const ModelStateOptions& options);

class ModelState {
 public:
  // Errors: RESOURCE_EXHAUSTED with EXHAUSTED (memory).
  static absl::StatusOr<std::unique_ptr<ModelState>> Create(
      const ModelConfig& config, const ModelStateOptions& options);

  const ModelStateOptions& options() const { return options_; }
  KvCache& kv() { return *kv_; }
  const KvCache& kv() const { return *kv_; }
  Activations& activations() { return activations_; }
  Multiplier& multiplier() { return multiplier_; }
  ThreadTeam& team() { return team_; }
  const KernelTable& kernels() const { return kernels_; }

  // Cosines and sines of positions below `end` are there afterwards; at most
  // those of the longest sequence that the KV cache can hold.
  void FillRope(Position end);
  // Of the positions that are there, in `layer`.
  const RopeTable& rope(int64_t layer) const {
    return local_rope_ && config_.windows.Has(layer) ? *local_rope_ : rope_;
  }

  // Stops the process unless every item may be run: sequences open and each
  // once, positions from cut_min to the length, tokens inside the sequence's
  // tokens_max, ids below vocab_size, at most rows_max rows.
  void CheckBatch(absl::Span<const StepItem> batch);

 private:
  ModelState(const ModelConfig& config, const ModelStateOptions& options,
             std::unique_ptr<KvCache> kv);

  const ModelConfig config_;
  const ModelStateOptions options_;
  const std::unique_ptr<KvCache> kv_;
  ThreadTeam team_;
  const KernelTable& kernels_;
  Multiplier multiplier_;
  Activations activations_;
  RopeTable rope_;
  std::optional<RopeTable> local_rope_;  // where the config has one
  uint64_t batches_ = 0;                 // checked so far
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_MODEL_MODEL_STATE_H_
