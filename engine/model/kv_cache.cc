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

int64_t PagesFor(Position tokens) {
  return (tokens + kKvPageTokens - 1) / kKvPageTokens;
}

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
  if (!bytes || *bytes > PhysicalBytes() ||
      options.pages > std::numeric_limits<int32_t>::max()) {
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
      row_bytes_(options.head_dim * ElementBytes(options.type)),
      block_bytes_(kKvPageTokens * row_bytes_),
      page_bytes_(options.layers * options.kv_heads * 2 * block_bytes_),
      slots_(std::min<int64_t>(options.sequences_max, options.pages)),
      slot_pages_(std::min(options.pages, PagesFor(options.context_max))),
      pool_(options.pages * page_bytes_),
      free_(options.pages),
      page_table_(slots_ * slot_pages_),
      sequences_(slots_),
      free_slots_(slots_) {
  // Stacks whose first pops are 0, 1, 2, ...
  for (int64_t i = 0; i < options.pages; ++i) {
    free_[i] = static_cast<int32_t>(options.pages - 1 - i);
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
  const int64_t pages = PagesFor(tokens_max);
  if (free_slots_.empty()) {
    return MakeError(
        absl::StatusCode::kResourceExhausted, {kReasonExhausted, {}},
        absl::StrCat("all ", slots_, " sequences are in use; try later"));
  }
  if (pages > static_cast<int64_t>(free_.size())) {
    return MakeError(
        absl::StatusCode::kResourceExhausted, {kReasonExhausted, {}},
        absl::StrCat(pages, " KV pages are needed, ", free_.size(), " of ",
                     options_.pages, " are free; try later"));
  }
  const int64_t slot = free_slots_.back();
  free_slots_.pop_back();
  Sequence& sequence = sequences_[slot];
  sequence.id = static_cast<SequenceId>(sequence.generation * slots_ + slot);
  sequence.length = 0;
  sequence.tokens_max = tokens_max;
  sequence.pages = pages;
  sequence.batch = 0;
  for (int64_t i = 0; i < pages; ++i) {
    page_table_[slot * slot_pages_ + i] = free_.back();
    free_.pop_back();
  }
  pages_reserved_.fetch_add(pages, std::memory_order_relaxed);
  return sequence.id;
}

void KvCache::Close(SequenceId sequence) {
  const int64_t slot = SlotOf(sequence);
  Sequence& closed = sequences_[slot];
  for (int64_t i = closed.pages - 1; i >= 0; --i) {
    free_.push_back(page_table_[slot * slot_pages_ + i]);
  }
  pages_reserved_.fetch_sub(closed.pages, std::memory_order_relaxed);
  closed.id = kClosed;
  const int64_t generations = std::numeric_limits<SequenceId>::max() / slots_;
  closed.generation =
      static_cast<int32_t>((closed.generation + 1) % generations);
  free_slots_.push_back(static_cast<int32_t>(slot));
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

void KvCache::SetLength(SequenceId sequence, Position length) {
  Sequence& changed = sequences_[SlotOf(sequence)];
  TANDEM_CHECK(length >= 0 && length <= changed.tokens_max);
  changed.length = length;
}

bool KvCache::MarkInBatch(SequenceId sequence, uint64_t batch) {
  Sequence& marked = sequences_[SlotOf(sequence)];
  if (marked.batch == batch) return false;
  marked.batch = batch;
  return true;
}

KvCache::Slot KvCache::At(SequenceId sequence, int64_t layer, int64_t kv_head,
                          Position position) {
  uint8_t* keys =
      pool_.data() +
      BlockOffset(sequence, layer, kv_head, position / kKvPageTokens) +
      position % kKvPageTokens * row_bytes_;
  return {.key = keys, .value = keys + block_bytes_};
}

AttentionBlock KvCache::Block(SequenceId sequence, int64_t layer,
                              int64_t kv_head, int64_t block, int64_t count,
                              int64_t skipped) const {
  TANDEM_CHECK(skipped >= 0 && skipped + count <= kKvPageTokens);
  const uint8_t* keys = pool_.data() +
                        BlockOffset(sequence, layer, kv_head, block) +
                        skipped * row_bytes_;
  return {.keys = keys, .values = keys + block_bytes_, .count = count};
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
  TANDEM_CHECK(block >= 0 && block < sequences_[slot].pages);
  const int64_t page = page_table_[slot * slot_pages_ + block];
  return page * page_bytes_ +
         (layer * options_.kv_heads + kv_head) * 2 * block_bytes_;
}

}  // namespace tandem
