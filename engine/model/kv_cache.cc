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
  return Exhausted(
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

KvLayout LayoutOf(const KvCacheOptions& options) {
  return KvLayout({.layers = options.layers,
                   .windows = options.windows,
                   .rows_max = options.rows_max});
}

}  // namespace

absl::StatusOr<std::unique_ptr<KvCache>> KvCache::Create(
    const KvCacheOptions& options) {
  TANDEM_CHECK(options.layers >= 1 && options.kv_heads >= 1 &&
               options.head_dim >= 1 && options.pages >= 1 &&
               options.context_max >= 1 && options.sequences_max >= 1);
  const std::optional<uint64_t> bytes = PoolBytes(options);
  // The pool takes memory as sequences use it; whether there is enough for all
  // of it is planned before (memory_plan.h). (A page has at most as many slices
  // as layers.)
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

KvFootprint KvCache::FootprintOf(const KvCacheOptions& options) {
  const KvLayout layout = LayoutOf(options);
  const int64_t slices = layout.slices_per_page();
  // Of each slice its number, in the stack and in the table, and its tokens; an
  // entry of the prefix cache.
  const int64_t slice_notes = static_cast<int64_t>(
      2 * sizeof(int32_t) + kKvPageTokens * sizeof(TokenId));
  const int64_t pool_bytes = 2 * ElementBytes(options.type) * kKvPageTokens *
                             options.head_dim * options.kv_heads *
                             options.layers;
  const int64_t entries =
      layout.TableEntries(KvLayout::PagesFor(options.context_max));
  return {.table_bytes = options.sequences_max *
                         static_cast<int64_t>(entries * sizeof(int32_t) +
                                              sizeof(Sequence)),
          .page_bytes = pool_bytes + slices * slice_notes +
                        PrefixCache::EntryBytes(slices),
          .positions_per_page =
              layout.full_slices() == 0
                  ? int64_t{options.context_max}
                  : (slices * kKvPageTokens + layout.full_slices() - 1) /
                        layout.full_slices()};
}

KvCache::KvCache(const KvCacheOptions& options)
    : options_(options),
      layout_(LayoutOf(options)),
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
  if (options.prefix_cache) {
    prefix_.emplace(
        PrefixCacheOptions{.entries = options.pages,
                           .slices_per_page = layout_.slices_per_page(),
                           .buckets = options.prefix_buckets});
    page_tokens_ = HugePageArray<TokenId>(slices_ * kKvPageTokens);
    page_slices_.resize(layout_.slices_per_page());
  }
  // Stacks whose first pops are 0, 1, 2, ...
  for (int64_t i = 0; i < slices_; ++i) {
    free_[i] = static_cast<int32_t>(slices_ - 1 - i);
  }
  for (int64_t i = 0; i < slots_; ++i) {
    free_slots_[i] = static_cast<int32_t>(slots_ - 1 - i);
  }
}

absl::Status KvCache::CheckOpen(const SequenceOptions& options) const {
  const Position longest = this->longest();
  const Position tokens = static_cast<Position>(options.tokens.size());
  if (options.tokens_max < 1 || options.tokens_max > longest) {
    return InvalidArgument(
        kReasonContextExceeded,
        absl::StrCat(
            "a sequence holds 1 to ", longest, " tokens",
            longest < options_.context_max
                ? absl::StrCat(" (the KV memory; the context is ",
                               options_.context_max,
                               ": more fit with a larger --kv-tokens, or with "
                               "more memory)")
                : "",
            ", ", options.tokens_max,
            " asked for (prompt, tokens to generate and drafts)"));
  }
  if (tokens > options.tokens_max) {
    return InvalidArgument(
        kReasonContextExceeded,
        absl::StrCat("the sequence is to hold ", options.tokens_max,
                     " tokens and begins with ", tokens));
  }
  if (free_slots_.empty()) {
    return Exhausted(
        absl::StrCat("all ", slots_, " sequences are in use; try later"));
  }
  return absl::OkStatus();
}

absl::StatusOr<SequenceId> KvCache::Open(const SequenceOptions& options) {
  TANDEM_RETURN_IF_ERROR(CheckOpen(options));
  const int64_t slot = free_slots_.back();
  Sequence& sequence = sequences_[slot];
  sequence = {.generation = sequence.generation,
              .tokens_max = options.tokens_max};
  TakePrefix(options, &sequence);
  const int64_t wanted = layout_.SlicesFor(options.tokens_max) -
                         sequence.shared_pages * layout_.slices_per_page();
  if (wanted > slices_unused()) {
    LeavePrefix(&sequence);
    const int64_t a_page = layout_.slices_per_page();
    return Exhausted(absl::StrCat((wanted + a_page - 1) / a_page,
                                  " KV pages are needed, ",
                                  slices_unused() / a_page, " of ",
                                  options_.pages, " are free; try later"));
  }
  free_slots_.pop_back();
  sequence.id = static_cast<SequenceId>(sequence.generation * slots_ + slot);
  PrefixCache::Entry entry = sequence.last_entry;
  for (int64_t page = sequence.shared_pages - 1; page >= 0; --page) {
    for (int64_t i = 0; i < layout_.slices_per_page(); ++i) {
      SliceAt(slot, i, page) = prefix_->slices(entry)[i];
    }
    entry = prefix_->parent(entry);
  }
  ForEachSlice(slot, sequence.shared_pages,
               [this](int32_t* slice) { *slice = TakeSlice(); });
  UpdateUsage();
  return sequence.id;
}

void KvCache::TakePrefix(const SequenceOptions& options, Sequence* sequence) {
  if (!prefix_ || options.tokens.empty() || layout_.Wraps(options.tokens_max)) {
    return;
  }
  sequence->shares = true;
  sequence->tenant = DigestOfTenant(options.tenant);
  // The last token is run in any case, so that there are logits.
  sequence->fixed_pages =
      (static_cast<int64_t>(options.tokens.size()) - 1) / kKvPageTokens;
  const int64_t kept_max = std::min<int64_t>(sequence->fixed_pages,
                                             options.kept_max / kKvPageTokens);
  while (sequence->shared_pages < kept_max) {
    const PrefixCache::Entry entry = prefix_->Find(
        {.parent = sequence->last_entry,
         .tenant = &sequence->tenant,
         .tokens = options.tokens.subspan(
             sequence->shared_pages * kKvPageTokens, kKvPageTokens)});
    if (entry == PrefixCache::kNone) break;
    prefix_->Use(entry);
    sequence->last_entry = entry;
    ++sequence->shared_pages;
  }
  sequence->length = sequence->shared_pages * kKvPageTokens;
  sequence->reached = sequence->length;
}

// The last page first: see PrefixCache.
void KvCache::LeavePrefix(Sequence* sequence) {
  while (sequence->last_entry != PrefixCache::kNone) {
    const PrefixCache::Entry entry = sequence->last_entry;
    sequence->last_entry = prefix_->parent(entry);
    prefix_->Release(entry);
  }
}

void KvCache::ShareFull(SequenceId sequence) {
  const int64_t slot = SlotOf(sequence);
  const Sequence& shared = sequences_[slot];
  const int64_t full =
      std::min(shared.fixed_pages, shared.length / kKvPageTokens);
  if (shared.shared_pages >= full) return;
  while (shared.shared_pages < full) SharePage(slot);
  UpdateUsage();
}

// A page of the same tokens may be kept already, with the same bits: then that
// one is used, and the own one is free.
void KvCache::SharePage(int64_t slot) {
  Sequence& sequence = sequences_[slot];
  const int64_t page = sequence.shared_pages;
  for (size_t i = 0; i < page_slices_.size(); ++i) {
    page_slices_[i] = SliceAt(slot, static_cast<int64_t>(i), page);
  }
  const PrefixCache::Key key = {.parent = sequence.last_entry,
                                .tenant = &sequence.tenant,
                                .tokens = TokensOf(slot, page)};
  PrefixCache::Entry entry = prefix_->Find(key);
  if (entry == PrefixCache::kNone) {
    entry = prefix_->Add(key, page_slices_);
  } else {
    prefix_->Use(entry);
    for (size_t i = 0; i < page_slices_.size(); ++i) {
      free_.push_back(page_slices_[i]);
      SliceAt(slot, static_cast<int64_t>(i), page) = prefix_->slices(entry)[i];
    }
  }
  sequence.last_entry = entry;
  ++sequence.shared_pages;
}

void KvCache::Close(SequenceId sequence) {
  const int64_t slot = SlotOf(sequence);
  Sequence& closed = sequences_[slot];
  if (closed.shares) {
    const int64_t full = closed.length / kKvPageTokens;
    while (closed.shared_pages < full) SharePage(slot);
  }
  ForEachSlice(slot, closed.shared_pages,
               [this](int32_t* slice) { free_.push_back(*slice); });
  LeavePrefix(&closed);
  UpdateUsage();
  closed.id = kClosed;
  const int64_t generations = std::numeric_limits<SequenceId>::max() / slots_;
  closed.generation =
      static_cast<int32_t>((closed.generation + 1) % generations);
  free_slots_.push_back(static_cast<int32_t>(slot));
}

template <typename Body>
void KvCache::ForEachSlice(int64_t slot, int64_t first, const Body& body) {
  const int64_t pages = KvLayout::PagesFor(sequences_[slot].tokens_max);
  for (int64_t slice = 0; slice < layout_.slices_per_page(); ++slice) {
    const int64_t own = layout_.PagesOf(slice, pages);
    for (int64_t page = first; page < own; ++page) {
      body(&SliceAt(slot, slice, page));
    }
  }
}

absl::Span<TokenId> KvCache::TokensOf(int64_t slot, int64_t page) {
  const int64_t first = SliceAt(slot, 0, page);
  return absl::MakeSpan(page_tokens_.data() + first * kKvPageTokens,
                        kKvPageTokens);
}

int32_t KvCache::TakeSlice() {
  if (free_.empty()) {
    const absl::Span<const int32_t> slices = prefix_->Evict();
    free_.insert(free_.end(), slices.begin(), slices.end());
  }
  const int32_t slice = free_.back();
  free_.pop_back();
  return slice;
}

int64_t KvCache::slices_unused() const {
  const int64_t cached = prefix_ ? prefix_->unused() : 0;
  return static_cast<int64_t>(free_.size()) +
         cached * layout_.slices_per_page();
}

void KvCache::UpdateUsage() {
  slices_reserved_.store(slices_ - slices_unused(), std::memory_order_relaxed);
  pages_cached_.store(prefix_ ? prefix_->unused() : 0,
                      std::memory_order_relaxed);
}

int64_t KvCache::pages_reserved() const {
  const int64_t slices = slices_reserved_.load(std::memory_order_relaxed);
  return (slices + layout_.slices_per_page() - 1) / layout_.slices_per_page();
}

bool KvCache::IsOpen(SequenceId sequence) const {
  return sequence >= 0 && sequences_[sequence % slots_].id == sequence;
}

Position KvCache::length(SequenceId sequence) const {
  return sequences_[SlotOf(sequence)].length;
}

Position KvCache::tokens_max(SequenceId sequence) const {
  return sequences_[SlotOf(sequence)].tokens_max;
}

Position KvCache::cut_min(SequenceId sequence) const {
  const Sequence& cut = sequences_[SlotOf(sequence)];
  return std::max(layout_.CutMin(cut.reached),
                  cut.shared_pages * kKvPageTokens);
}

void KvCache::Extend(SequenceId sequence, Position position,
                     absl::Span<const TokenId> tokens) {
  const int64_t slot = SlotOf(sequence);
  Sequence& changed = sequences_[slot];
  const Position end = position + static_cast<Position>(tokens.size());
  TANDEM_CHECK(position <= changed.length && position >= cut_min(sequence));
  TANDEM_CHECK(end <= changed.tokens_max);
  changed.length = end;
  changed.reached = std::max(changed.reached, end);
  if (!changed.shares) return;
  for (const TokenId token : tokens) {
    TokensOf(slot, position / kKvPageTokens)[position % kKvPageTokens] = token;
    ++position;
  }
}

bool KvCache::MarkInBatch(SequenceId sequence, uint64_t batch) {
  Sequence& marked = sequences_[SlotOf(sequence)];
  if (marked.batch == batch) return false;
  marked.batch = batch;
  return true;
}

KvCache::Slot KvCache::At(SequenceId sequence, int64_t layer, int64_t kv_head,
                          Position position) {
  TANDEM_CHECK(position >=
               sequences_[SlotOf(sequence)].shared_pages * kKvPageTokens);
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
