// Keys and values of all open sequences, in a fixed pool of pages. Owned by a
// ModelState and used by its compute thread only; usage() may be called from
// any thread.
//
// A page holds kKvPageTokens positions of one sequence in every layer and KV
// head. The pages that a sequence can need are reserved when it is opened, so
// a Step never runs out. Nothing is allocated after Create. A position is read
// only after it was written by its own sequence (readers stay below the
// sequence's length), so pages are not cleared between sequences.

#ifndef TANDEM_ENGINE_MODEL_KV_CACHE_H_
#define TANDEM_ENGINE_MODEL_KV_CACHE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/base/aligned_buffer.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/kernels/attention.h"
#include "engine/kernels/numerics_mode.h"
#include "engine/model/step.h"

namespace tandem {

struct KvCacheOptions {
  int64_t layers = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  KvType type = KvType::kF32;
  int64_t pages = 0;
  // Tokens of one sequence at most.
  Position context_max = 0;
  int sequences_max = 0;
};

class KvCache {
 public:
  // Errors: RESOURCE_EXHAUSTED with EXHAUSTED where the machine has not the
  // memory.
  static absl::StatusOr<std::unique_ptr<KvCache>> Create(
      const KvCacheOptions& options);

  // An empty sequence of at most `tokens_max` tokens. Ids of closed sequences
  // do not come back soon. Errors: INVALID_ARGUMENT with CONTEXT_EXCEEDED
  // (outside 1 .. context_max or the whole pool); RESOURCE_EXHAUSTED with
  // EXHAUSTED (pages or sequences used up).
  absl::StatusOr<SequenceId> Open(Position tokens_max);
  // Frees the pages. `sequence` is open.
  void Close(SequenceId sequence);

  bool IsOpen(SequenceId sequence) const;
  // Below: `sequence` is open.
  Position length(SequenceId sequence) const;
  Position tokens_max(SequenceId sequence) const;
  // Cuts or extends; at most tokens_max. Positions that this adds are
  // undefined until they are stored.
  void SetLength(SequenceId sequence, Position length);
  // Stamps the sequence as part of batch number `batch` (above 0); false
  // where it already is.
  bool MarkInBatch(SequenceId sequence, uint64_t batch);

  // Where the key and the value of one position are stored: head_dim values of
  // the options' type each. `position` is below tokens_max.
  struct Slot {
    void* key = nullptr;
    void* value = nullptr;
  };
  Slot At(SequenceId sequence, int64_t layer, int64_t kv_head,
          Position position);

  // Block number `block` (positions from block * kKvPageTokens on) of one
  // head, `count` positions of it after the first `skipped`.
  AttentionBlock Block(SequenceId sequence, int64_t layer, int64_t kv_head,
                       int64_t block, int64_t count, int64_t skipped = 0) const;

  const KvCacheOptions& options() const { return options_; }
  int64_t pages_reserved() const {
    return pages_reserved_.load(std::memory_order_relaxed);
  }

 private:
  struct Sequence {
    SequenceId id = kClosed;
    int32_t generation = 0;  // id = generation * slots + slot
    Position length = 0;
    Position tokens_max = 0;
    int64_t pages = 0;
    uint64_t batch = 0;
  };
  static constexpr SequenceId kClosed = -1;

  explicit KvCache(const KvCacheOptions& options);

  const Sequence& Get(SequenceId sequence) const;
  int64_t SlotOf(SequenceId sequence) const;
  // Byte offset in the pool of a page's block of one head: keys, then values.
  int64_t BlockOffset(SequenceId sequence, int64_t layer, int64_t kv_head,
                      int64_t block) const;

  const KvCacheOptions options_;
  const int64_t row_bytes_;    // one position of one head, keys or values
  const int64_t block_bytes_;  // kKvPageTokens of those
  const int64_t page_bytes_;
  const int64_t slots_;       // sequences that can be open at once
  const int64_t slot_pages_;  // pages of one sequence at most

  AlignedBuffer<uint8_t> pool_;      // [pages, layers, kv_heads, 2, block]
  std::vector<int32_t> free_;        // pages, used as a stack
  std::vector<int32_t> page_table_;  // [slots, slot_pages]
  std::vector<Sequence> sequences_;  // [slots]
  std::vector<int32_t> free_slots_;  // used as a stack
  std::atomic<int64_t> pages_reserved_{0};
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_MODEL_KV_CACHE_H_
