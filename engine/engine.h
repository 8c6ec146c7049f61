// A model with its KV cache and its threads: Load, Open, Step, Close.
//
// Owned by one worker or one InferenceSession. Not thread safe: one compute
// thread owns an engine (kv_usage alone may be read from any thread).
//
// The logits at a position depend only on the model and on the tokens before
// it: the same bits for any batch, row count, chunking and thread count.

#ifndef TANDEM_ENGINE_ENGINE_H_
#define TANDEM_ENGINE_ENGINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/base/thread_team.h"
#include "engine/base/types.h"
#include "engine/gguf/gguf_file.h"
#include "engine/model/memory_plan.h"
#include "engine/model/model.h"
#include "engine/model/step.h"
#include "engine/tokenizer/tokenizer.h"

namespace tandem {

struct EngineOptions {
  // Members of the thread team, the caller included; 0: AvailableCpus().
  int threads = 0;
  Pinning pinning = Pinning::kNone;
  // Tokens of one sequence at most; 0: what the model allows.
  Position context_max = 0;
  // Tokens of all open sequences together; 0: what the memory there is holds,
  // by the plan of memory_plan.h (four full contexts at most). Rounded up to
  // whole pages. More fit where layers have windows.
  int64_t kv_tokens = 0;
  // KV storage; absent: bf16 for int8 and bf16 modes, f32 for mode f32.
  std::optional<KvType> kv_type = {};
  // Rows of one Step at most, over all its items; 1 .. 4096.
  int rows_max = 256;
  // Sequences open at once at most.
  int sequences_max = 1024;
  // Full pages of KV stay for later sequences of the same tenant, as long as
  // their memory is not needed.
  bool prefix_cache = true;

  bool operator==(const EngineOptions&) const = default;
};

// What the model of `file` needs with these options, from what stands before
// its tensors. `numerics` as ModelOptions::numerics. Errors: as Engine::Load
// for options, as Model::Load for what the metadata has.
absl::StatusOr<ModelNeeds> NeedsOf(const GgufFile& file,
                                   std::optional<NumericsMode> numerics,
                                   const EngineOptions& options);

struct EngineInfo {
  int vocab_size = 0;
  Position context_max = 0;
  int rows_max = 0;
  // Equal fingerprints give equal text (SHA-256, hexadecimal): weights,
  // tokenizer, numerics mode, KV type, RoPE and context settings, numerics
  // version and, for oneDNN modes, its version and instruction set.
  std::string fingerprint = {};
};

// Of the KV pool. A page is the memory of page_tokens tokens in all layers. A
// sequence longer than its model's windows needs less than a page for each
// page_tokens tokens.
struct KvUsage {
  int64_t pages_total = 0;
  int64_t pages_reserved = 0;  // rounded up; a shared page counts once
  // Of those that are not reserved: pages that are kept for later sequences.
  int64_t pages_cached = 0;
  int page_tokens = 0;
};

struct SequenceState {
  Position length = 0;  // tokens whose KV is there
  // The lowest position that the sequence can be cut to.
  Position cut_min = 0;
};

class Engine {
 public:
  // Shares `model`, which stays loaded while any engine has it. Memory is taken
  // as sequences use it. Errors: INVALID_ARGUMENT (options), RESOURCE_EXHAUSTED
  // (KV memory).
  static absl::StatusOr<std::unique_ptr<Engine>> Load(
      std::shared_ptr<const Model> model, const EngineOptions& options);

  virtual ~Engine() = default;

  // A new sequence that will hold at most options.tokens_max tokens: the KV
  // pages that it lacks are reserved here, so a Step never runs out. Its length
  // is that of the KV which was kept of options.tokens: 0 or whole pages, below
  // their number. Errors: INVALID_ARGUMENT with CONTEXT_EXCEEDED;
  // RESOURCE_EXHAUSTED with EXHAUSTED.
  virtual absl::StatusOr<SequenceId> Open(const SequenceOptions& options) = 0;

  // Runs every item and hands the wanted rows to `consumer`. Allocates nothing.
  // The caller keeps to the rules, and a batch that breaks one stops the
  // process: at most info().rows_max rows in all, each sequence open and at
  // most once, positions from its cut_min to its length, tokens inside its
  // tokens_max and the vocabulary. Errors: those of a pass, which leave
  // sequences as they were.
  //
  // cut_min is 0 but for two cases. A sequence that was opened with tokens can
  // not be cut into whole pages of those, without the last token. And layers
  // with windows keep what a window needs: there a sequence can be cut back by
  // kKvRollbackTokens from the greatest length that it has had, at least.
  virtual absl::Status Step(absl::Span<const StepItem> batch,
                            RowConsumer* consumer) = 0;

  // Frees the sequence's pages; full ones may be kept for later sequences.
  virtual void Close(SequenceId sequence) = 0;

  // `sequence` is open.
  virtual SequenceState state(SequenceId sequence) const = 0;

  virtual const EngineInfo& info() const = 0;
  virtual const Tokenizer& tokenizer() const = 0;
  virtual KvUsage kv_usage() const = 0;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_ENGINE_H_
