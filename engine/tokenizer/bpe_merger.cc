#include "engine/tokenizer/bpe_merger.h"

#include <algorithm>

#include "engine/base/check.h"

namespace tandem {

bool BpeMerger::FindJoin(int32_t left) {
  Symbol& symbol = symbols_[left];
  symbol.rank = kNoRank;
  if (symbol.next < 0) return false;
  const BpeMerge* const merge =
      merges_->Find(symbol.id, symbols_[symbol.next].id);
  if (merge == nullptr) return false;
  symbol.rank = merge->rank;
  symbol.merged = merge->merged;
  return true;
}

void BpeMerger::Push(int32_t left) {
  if (left < 0 || !FindJoin(left)) return;
  heap_.push_back({.rank = symbols_[left].rank, .left = left});
  std::push_heap(heap_.begin(), heap_.end());
  ++steps_;
}

void BpeMerger::Merge(absl::Span<const TokenId> word,
                      std::vector<TokenId>* ids) {
  TANDEM_CHECK(word.size() <= INT32_MAX);
  const auto count = static_cast<int32_t>(word.size());
  symbols_.clear();
  heap_.clear();
  for (int32_t i = 0; i < count; ++i) {
    symbols_.push_back({.id = word[i],
                        .previous = i - 1,
                        .next = i + 1 < count ? i + 1 : -1,
                        .rank = kNoRank,
                        .merged = kGone});
  }
  for (int32_t i = 0; i < count; ++i) {
    if (!FindJoin(i)) continue;
    heap_.push_back({.rank = symbols_[i].rank, .left = i});
    ++steps_;
  }
  std::make_heap(heap_.begin(), heap_.end());
  while (!heap_.empty()) {
    const Join join = heap_.front();
    std::pop_heap(heap_.begin(), heap_.end());
    heap_.pop_back();
    Symbol& left = symbols_[join.left];
    // The pair has changed since. Ranks tell pairs apart.
    if (left.id == kGone || left.rank != join.rank) continue;
    Symbol& right = symbols_[left.next];
    left.id = left.merged;
    right.id = kGone;
    left.next = right.next;
    if (left.next >= 0) symbols_[left.next].previous = join.left;
    Push(left.previous);
    Push(join.left);
  }
  for (const Symbol& symbol : symbols_) {
    if (symbol.id != kGone) ids->push_back(symbol.id);
  }
}

}  // namespace tandem
