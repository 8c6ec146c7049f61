// Keys and values of all open sequences, in a fixed pool of slices
// (kv_layout.h). Owned by a ModelState and used by its compute thread only;
// pages_reserved() and pages_cached() may be called from any thread.
//
// The slices that a sequence can need are reserved when it is opened, so a Step
// never runs out. Nothing is allocated after Create, but by Open for the digest
// of its tenant; the system gives the pool's memory when a slice is written for
// the first time. A position is read only after it was written for this
// sequence's tokens (readers stay below the sequence's length), so slices are
// not cleared between sequences.
//
// Full pages are shared through a PrefixCache: those of the tokens that a
// sequence is opened with as soon as they are full, from which on it can not be
// cut below them, and the others when it is closed. A shared page is never
// written and not freed while a sequence uses it.

#ifndef TANDEM_ENGINE_MODEL_KV_CACHE_H_
#define TANDEM_ENGINE_MODEL_KV_CACHE_H_

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/huge_page_buffer.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/kernels/attention.h"
#include "engine/kernels/numerics_mode.h"
#include "engine/model/kv_layout.h"
#include "engine/model/layer_windows.h"
#include "engine/model/prefix_cache.h"
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
  // Full pages are kept and shared.
  bool prefix_cache = false;
  int64_t prefix_buckets = 0;  // see PrefixCacheOptions
};

// What a cache takes: for each page of its pool, and at most for the tables of
// all sequences.
struct KvFootprint {
  int64_t table_bytes = 0;
  int64_t page_bytes = 0;  // with what is noted about the page
  // Positions that the longest sequence gets for it.
  int64_t positions_per_page = 0;
};

class KvCache {
 public:
  // options.pages is not looked at.
  static KvFootprint FootprintOf(const KvCacheOptions& options);

  // Errors: RESOURCE_EXHAUSTED with EXHAUSTED where the machine has not the
  // memory.
  static absl::StatusOr<std::unique_ptr<KvCache>> Create(
      const KvCacheOptions& options);

  // A sequence, with the kept pages of its tokens. It keeps and takes none
  // where it uses slices of windowed layers again (KvLayout::Wraps). Ids of
  // closed sequences do not come back soon. Errors: INVALID_ARGUMENT with
  // CONTEXT_EXCEEDED (tokens_max outside 1 .. context_max or the whole pool, or
  // below the tokens); RESOURCE_EXHAUSTED with EXHAUSTED (slices or sequences
  // used up).
  absl::StatusOr<SequenceId> Open(const SequenceOptions& options);
  // Keeps the full pages and frees the other slices. `sequence` is open and
  // all below its length is stored.
  void Close(SequenceId sequence);

  bool IsOpen(SequenceId sequence) const;
  // Below: `sequence` is open.
  Position length(SequenceId sequence) const;
  Position tokens_max(SequenceId sequence) const;
  // The lowest position that it can be cut to: KvLayout::CutMin, and where its
  // shared pages end.
  Position cut_min(SequenceId sequence) const;
  // Cuts at `position`, cut_min .. length, and puts `tokens` there, at most
  // rows_max where layers have windows and up to tokens_max. Their keys and
  // values are undefined until they are stored.
  void Extend(SequenceId sequence, Position position,
              absl::Span<const TokenId> tokens);
  // All below its length is stored: shares the full pages of the tokens that it
  // was opened with, but for the page of the last of them.
  void ShareFull(SequenceId sequence);
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
  // Tokens of the longest sequence that the pool can hold.
  Position longest() const {
    return static_cast<Position>(
        std::min<int64_t>(options_.context_max, slot_pages_ * kKvPageTokens));
  }
  // What open sequences have, rounded up to pages of all layers. A shared page
  // counts once.
  int64_t pages_reserved() const;
  // Pages that are kept and that no open sequence uses; free for others.
  int64_t pages_cached() const {
    return pages_cached_.load(std::memory_order_relaxed);
  }

 private:
  struct Sequence {
    SequenceId id = kClosed;
    int32_t generation = 0;  // id = generation * slots + slot
    Position length = 0;
    Position reached = 0;  // the greatest length so far
    Position tokens_max = 0;
    uint64_t batch = 0;
    // Of a sequence that shares; else 0 and kNone.
    bool shares = false;
    int64_t fixed_pages = 0;   // whose tokens it will not change
    int64_t shared_pages = 0;  // its first pages are entries of the cache
    PrefixCache::Entry last_entry = PrefixCache::kNone;  // of those
    TenantDigest tenant = {};
  };
  static constexpr SequenceId kClosed = -1;

  explicit KvCache(const KvCacheOptions& options);

  int64_t SlotOf(SequenceId sequence) const;
  // Slice number `slice` of page number `page`, in the pool.
  int32_t& SliceAt(int64_t slot, int64_t slice, int64_t page) {
    return table_[slot * slot_entries_ +
                  layout_.EntryOf(slice, page, slot_pages_)];
  }
  // Calls body(&entry) for what the table has of a sequence from page number
  // `first` on, pages of windowed layers beyond the ring aside.
  template <typename Body>
  void ForEachSlice(int64_t slot, int64_t first, const Body& body);
  absl::Status CheckOpen(const SequenceOptions& options) const;
  // Uses the kept pages of the tokens.
  void TakePrefix(const SequenceOptions& options, Sequence* sequence);
  void LeavePrefix(Sequence* sequence);
  // Shares the first page that is not shared yet; it is full.
  void SharePage(int64_t slot);
  // The tokens of a page that is not shared.
  absl::Span<TokenId> TokensOf(int64_t slot, int64_t page);
  int32_t TakeSlice();
  int64_t slices_unused() const;  // free, or of pages that nobody uses
  void UpdateUsage();
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
  HugePageBuffer pool_;
  std::vector<int32_t> free_;        // slices, used as a stack
  HugePageArray<int32_t> table_;     // [slots, slot_entries]: slices
  std::vector<Sequence> sequences_;  // [slots]
  std::vector<int32_t> free_slots_;  // used as a stack
  std::optional<PrefixCache> prefix_;
  // [slices, kKvPageTokens] by the first slice of a page that is not shared.
  HugePageArray<TokenId> page_tokens_;
  std::vector<int32_t> page_slices_;  // scratch: [slices_per_page]
  std::atomic<int64_t> slices_reserved_{0};
  std::atomic<int64_t> pages_cached_{0};
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_MODEL_KV_CACHE_H_
