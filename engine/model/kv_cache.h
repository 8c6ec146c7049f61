// Keys and values of all open sequences, in a fixed pool of slices
// (kv_layout.h). Owned by a ModelState and used by its compute thread only;
// pages_reserved() may be called from any thread.
//
// The slices that a sequence can need are reserved when it is opened, so a Step
// never runs out. Nothing is allocated after Create. A position is read only
// after it was written by its own sequence (readers stay below the sequence's
// length), so slices are not cleared between sequences.

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
#include "engine/model/kv_layout.h"
#include "engine/model/layer_windows.h"
#include "engine/model/step.h"

namespace tandem {

struct KvCacheOptions {
  int64_t layers = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  KvType type = KvType::kF32;
  // Of the pool: the memory of so many pages, each of all layers.
  int64_t pages = 0;
  // Tokens of one sequence at most.
  Position context_max = 0;
  int sequences_max = 0;
  LayerWindows windows = {};
  // Tokens of one sequence in a pass at most; matters with windows only.
  int64_t rows_max = 1;
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
  // EXHAUSTED (slices or sequences used up).
  absl::StatusOr<SequenceId> Open(Position tokens_max);
  // Frees the slices. `sequence` is open.
  void Close(SequenceId sequence);

  bool IsOpen(SequenceId sequence) const;
  // Below: `sequence` is open.
  Position length(SequenceId sequence) const;
  Position tokens_max(SequenceId sequence) const;
  // The lowest position that it can be cut to (KvLayout::CutMin).
  Position cut_min(SequenceId sequence) const;
  // Cuts at `position`, cut_min .. length, and puts `count` positions there, at
  // most rows_max where layers have windows and up to tokens_max. They are
  // undefined until they are stored.
  void Extend(SequenceId sequence, Position position, int64_t count);
  // Stamps the sequence as part of batch number `batch` (above 0); false
  // where it already is.
  bool MarkInBatch(SequenceId sequence, uint64_t batch);

  // Where the key and the value of one position are stored, as the options'
  // type. `position` is below the length.
  struct Slot {
    void* block_keys = nullptr;     // [head_dim, kKvPageTokens]
    int64_t position_in_block = 0;  // its column there
    void* value = nullptr;          // [head_dim]
  };
  Slot At(SequenceId sequence, int64_t layer, int64_t kv_head,
          Position position);

  // Block number `block` (positions from block * kKvPageTokens on) of one head
  // of a layer; a position of it that a row above cut_min sees is there.
  struct Block {
    const void* keys = nullptr;    // [head_dim, kKvPageTokens]
    const void* values = nullptr;  // [kKvPageTokens, head_dim]
  };
  Block BlockAt(SequenceId sequence, int64_t layer, int64_t kv_head,
                int64_t block) const;

  const KvCacheOptions& options() const { return options_; }
  // What open sequences have, rounded up to pages of all layers.
  int64_t pages_reserved() const;

 private:
  struct Sequence {
    SequenceId id = kClosed;
    int32_t generation = 0;  // id = generation * slots + slot
    Position length = 0;
    Position reached = 0;  // the greatest length so far
    Position tokens_max = 0;
    uint64_t batch = 0;
  };
  static constexpr SequenceId kClosed = -1;

  explicit KvCache(const KvCacheOptions& options);

  const Sequence& Get(SequenceId sequence) const;
  int64_t SlotOf(SequenceId sequence) const;
  // Slice number `slice` of page number `page`, in the pool.
  int32_t& SliceAt(int64_t slot, int64_t slice, int64_t page) {
    return table_[slot * slot_entries_ +
                  layout_.EntryOf(slice, page, slot_pages_)];
  }
  // The entries of the table that a sequence has: all, but for those of its
  // pages beyond the ring that windowed layers have not.
  template <typename Body>
  void ForEachSlice(int64_t slot, Position tokens_max, const Body& body);
  void UpdateReserved();
  absl::Status NoMemoryFor(int64_t slices) const;
  // Byte offset in the pool of a page's block of one head: keys, then values.
  int64_t BlockOffset(SequenceId sequence, int64_t layer, int64_t kv_head,
                      int64_t block) const;

  const KvCacheOptions options_;
  const KvLayout layout_;
  const int64_t row_bytes_;    // one position of one head, keys or values
  const int64_t block_bytes_;  // kKvPageTokens of those
  const int64_t slice_bytes_;
  const int64_t slices_;        // of the pool
  const int64_t slots_;         // sequences that can be open at once
  const int64_t slot_pages_;    // pages of one sequence at most
  const int64_t slot_entries_;  // its slices at most

  // [slices, layers of a slice, kv_heads, 2, block]
  AlignedBuffer<uint8_t> pool_;
  std::vector<int32_t> free_;        // slices, used as a stack
  std::vector<int32_t> table_;       // [slots, slot_entries]: slices
  std::vector<Sequence> sequences_;  // [slots]
  std::vector<int32_t> free_slots_;  // used as a stack
  std::atomic<int64_t> slices_reserved_{0};
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_MODEL_KV_CACHE_H_
