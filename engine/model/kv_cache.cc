#include "engine/model/kv_cache.h"

#include <unistd.h>

#include <algorithm>
#include <limits>
#include <new>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/checked_math.h"
#include "engine/base/error_reason.h"

namespace tandem {
namespace {

int64_t ElementBytes(KvType type) { return type == KvType::kBf16 ? 2 : 4; }

absl::Status OutOfMemory(const KvCacheOptions& options) {
  return MakeError(
      absl::StatusCode::kResourceExhausted, {kReasonExhausted, {}},
      absl::StrCat("a KV cache of ", options.pages * kKvPageTokens,
                   " tokens does not fit the memory of this machine; ask for "
                   "fewer KV tokens or a shorter context"));
}

// Bytes of the pool, or nothing where they do not fit 64 bits.
std::optional<uint64_t> PoolBytes(const KvCacheOptions& options) {
  std::optional<uint64_t> bytes = 2 * ElementBytes(options.type);
  for (int64_t factor : {int64_t{kKvPageTokens}, options.head_dim,
                         options.kv_heads, options.layers, options.pages}) {
    if (bytes) bytes = CheckedMultiply(*bytes, factor);
  }
  return bytes;
}

uint64_t PhysicalBytes() {
  return static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

absl::StatusOr<std::unique_ptr<KvCache>> KvCache::Create(
    const KvCacheOptions& options) {
  TANDEM_CHECK(options.layers >= 1 && options.kv_heads >= 1 &&
               options.head_dim >= 1 && options.pages >= 1 &&
               options.context_max >= 1 && options.sequences_max >= 1);
  const std::optional<uint64_t> bytes = PoolBytes(options);
  // The pool is touched whole here, so that no later Step meets a machine
  // without memory; more than the machine has would end the process instead.
  // (A page has at most as many slices as layers.)
  if (!bytes || *bytes > PhysicalBytes() ||
      options.pages > std::numeric_limits<int32_t>::max() / options.layers) {
    return OutOfMemory(options);
  }
  try {
    return std::unique_ptr<KvCache>(new KvCache(options));
  } catch (const std::bad_alloc&) {
    return OutOfMemory(options);
  }
}

KvCache::KvCache(const KvCacheOptions& options)
    : options_(options),
      layout_({.layers = options.layers,
               .windows = options.windows,
               .rows_max = options.rows_max}),
      row_bytes_(options.head_dim * ElementBytes(options.type)),
      block_bytes_(kKvPageTokens * row_bytes_),
      slice_bytes_(layout_.slice_layers() * options.kv_heads * 2 *
                   block_bytes_),
      slices_(options.pages * layout_.slices_per_page()),
      slots_(std::min<int64_t>(options.sequences_max, options.pages)),
      slot_pages_(layout_.LongestPages(
          slices_, KvLayout::PagesFor(options.context_max))),
      slot_entries_(layout_.TableEntries(slot_pages_)),
      pool_(slices_ * slice_bytes_),
      free_(slices_),
      table_(slots_ * slot_entries_),
      sequences_(slots_),
      free_slots_(slots_) {
  // Stacks whose first pops are 0, 1, 2, ...
  for (int64_t i = 0; i < slices_; ++i) {
    free_[i] = static_cast<int32_t>(slices_ - 1 - i);
  }
  for (int64_t i = 0; i < slots_; ++i) {
    free_slots_[i] = static_cast<int32_t>(slots_ - 1 - i);
  }
}

absl::StatusOr<SequenceId> KvCache::Open(Position tokens_max) {
  const Position longest =
      std::min(options_.context_max, slot_pages_ * kKvPageTokens);
  if (tokens_max < 1 || tokens_max > longest) {
    return MakeError(absl::StatusCode::kInvalidArgument,
                     {kReasonContextExceeded, {}},
                     absl::StrCat("a sequence holds 1 to ", longest,
                                  " tokens, ", tokens_max, " asked for"));
  }
  if (free_slots_.empty()) {
    return MakeError(
        absl::StatusCode::kResourceExhausted, {kReasonExhausted, {}},
        absl::StrCat("all ", slots_, " sequences are in use; try later"));
  }
  const int64_t wanted = layout_.SlicesFor(tokens_max);
  if (wanted > static_cast<int64_t>(free_.size())) {
    return NoMemoryFor(wanted);
  }
  const int64_t slot = free_slots_.back();
  free_slots_.pop_back();
  Sequence& sequence = sequences_[slot];
  sequence.id = static_cast<SequenceId>(sequence.generation * slots_ + slot);
  sequence.length = 0;
  sequence.reached = 0;
  sequence.tokens_max = tokens_max;
  sequence.batch = 0;
  ForEachSlice(slot, tokens_max, [this](int32_t* slice) {
    *slice = free_.back();
    free_.pop_back();
  });
  UpdateReserved();
  return sequence.id;
}

void KvCache::Close(SequenceId sequence) {
  const int64_t slot = SlotOf(sequence);
  Sequence& closed = sequences_[slot];
  ForEachSlice(slot, closed.tokens_max,
               [this](int32_t* slice) { free_.push_back(*slice); });
  UpdateReserved();
  closed.id = kClosed;
  const int64_t generations = std::numeric_limits<SequenceId>::max() / slots_;
  closed.generation =
      static_cast<int32_t>((closed.generation + 1) % generations);
  free_slots_.push_back(static_cast<int32_t>(slot));
}

template <typename Body>
void KvCache::ForEachSlice(int64_t slot, Position tokens_max,
                           const Body& body) {
  const int64_t pages = KvLayout::PagesFor(tokens_max);
  for (int64_t slice = 0; slice < layout_.slices_per_page(); ++slice) {
    const int64_t own = layout_.PagesOf(slice, pages);
    for (int64_t page = 0; page < own; ++page) {
      body(&SliceAt(slot, slice, page));
    }
  }
}

void KvCache::UpdateReserved() {
  slices_reserved_.store(slices_ - static_cast<int64_t>(free_.size()),
                         std::memory_order_relaxed);
}

int64_t KvCache::pages_reserved() const {
  const int64_t slices = slices_reserved_.load(std::memory_order_relaxed);
  return (slices + layout_.slices_per_page() - 1) / layout_.slices_per_page();
}

absl::Status KvCache::NoMemoryFor(int64_t slices) const {
  const int64_t a_page = layout_.slices_per_page();
  return MakeError(
      absl::StatusCode::kResourceExhausted, {kReasonExhausted, {}},
      absl::StrCat((slices + a_page - 1) / a_page, " KV pages are needed, ",
                   static_cast<int64_t>(free_.size()) / a_page, " of ",
                   options_.pages, " are free; try later"));
}

bool KvCache::IsOpen(SequenceId sequence) const {
  return sequence >= 0 && sequences_[sequence % slots_].id == sequence;
}

Position KvCache::length(SequenceId sequence) const {
  return Get(sequence).length;
}

Position KvCache::tokens_max(SequenceId sequence) const {
  return Get(sequence).tokens_max;
}

Position KvCache::cut_min(SequenceId sequence) const {
  return layout_.CutMin(Get(sequence).reached);
}

void KvCache::Extend(SequenceId sequence, Position position, int64_t count) {
  Sequence& changed = sequences_[SlotOf(sequence)];
  TANDEM_CHECK(position <= changed.length &&
               position >= layout_.CutMin(changed.reached));
  TANDEM_CHECK(count >= 0 && position + count <= changed.tokens_max);
  changed.length = position + count;
  changed.reached = std::max(changed.reached, changed.length);
}

bool KvCache::MarkInBatch(SequenceId sequence, uint64_t batch) {
  Sequence& marked = sequences_[SlotOf(sequence)];
  if (marked.batch == batch) return false;
  marked.batch = batch;
  return true;
}

KvCache::Slot KvCache::At(SequenceId sequence, int64_t layer, int64_t kv_head,
                          Position position) {
  uint8_t* keys = pool_.data() + BlockOffset(sequence, layer, kv_head,
                                             position / kKvPageTokens);
  const int64_t in_block = position % kKvPageTokens;
  return {.block_keys = keys,
          .position_in_block = in_block,
          .value = keys + block_bytes_ + in_block * row_bytes_};
}

KvCache::Block KvCache::BlockAt(SequenceId sequence, int64_t layer,
                                int64_t kv_head, int64_t block) const {
  const uint8_t* keys =
      pool_.data() + BlockOffset(sequence, layer, kv_head, block);
  return {.keys = keys, .values = keys + block_bytes_};
}

const KvCache::Sequence& KvCache::Get(SequenceId sequence) const {
  return sequences_[SlotOf(sequence)];
}

int64_t KvCache::SlotOf(SequenceId sequence) const {
  TANDEM_CHECK(IsOpen(sequence));
  return sequence % slots_;
}

int64_t KvCache::BlockOffset(SequenceId sequence, int64_t layer,
                             int64_t kv_head, int64_t block) const {
  const int64_t slot = sequence % slots_;
  TANDEM_CHECK(block >= 0 &&
               block * kKvPageTokens < sequences_[slot].tokens_max);
  const KvLayout::Place& place = layout_.PlaceOf(layer);
  const int64_t slice =
      table_[slot * slot_entries_ +
             layout_.EntryOf(place.slice, block, slot_pages_)];
  return slice * slice_bytes_ +
         (place.layer * options_.kv_heads + kv_head) * 2 * block_bytes_;
}

}  // namespace tandem
