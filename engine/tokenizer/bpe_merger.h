// Byte-pair merging: a table of merges with their ranks, and the merging of one
// word. The table is owned by its tokenizer and immutable once filled; a merger
// is scratch space for one thread.

#ifndef TANDEM_ENGINE_TOKENIZER_BPE_MERGER_H_
#define TANDEM_ENGINE_TOKENIZER_BPE_MERGER_H_

#include <cstdint>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "engine/base/types.h"

namespace tandem {

// Two neighbours and the token that they become.
struct BpeMerge {
  uint32_t rank;  // the lowest goes first
  TokenId merged;
};

class BpeMerges {
 public:
  void Reserve(size_t merges) { merges_.reserve(merges); }
  // False where the pair is there already. Ids are not negative; each rank is
  // used once.
  bool Add(TokenId left, TokenId right, BpeMerge merge) {
    return merges_.emplace(Key(left, right), merge).second;
  }
  // Null where the two do not merge.
  const BpeMerge* Find(TokenId left, TokenId right) const {
    const auto found = merges_.find(Key(left, right));
    return found == merges_.end() ? nullptr : &found->second;
  }

 private:
  static uint64_t Key(TokenId left, TokenId right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 |
           static_cast<uint32_t>(right);
  }

  absl::flat_hash_map<uint64_t, BpeMerge> merges_;
};

class BpeMerger {
 public:
  // `merges` outlives the merger.
  explicit BpeMerger(const BpeMerges* merges) : merges_(merges) {}

  // Merges the neighbours of the lowest rank, the leftmost of equals, until no
  // two merge; appends what is left. `word` has up to 2^31 - 1 ids. Time:
  // n log n, by a heap over a linked list.
  void Merge(absl::Span<const TokenId> word, std::vector<TokenId>* ids);

  // Joins that were put into the heap by all calls so far: at most three for
  // each id of a word.
  uint64_t steps() const { return steps_; }

 private:
  static constexpr uint32_t kNoRank = UINT32_MAX;

  struct Symbol {
    TokenId id;  // kGone: merged into the one before it
    int32_t previous;
    int32_t next;
    // Of the merge with `next`; kNoRank: they do not merge.
    uint32_t rank;
    TokenId merged;
  };
  static constexpr TokenId kGone = -1;

  // Symbol `left` and its neighbour merge with this rank, unless one of them
  // has changed since.
  struct Join {
    uint32_t rank;
    int32_t left;
    // The order of a max-heap: the lowest rank first, then the leftmost.
    bool operator<(const Join& other) const {
      if (rank != other.rank) return rank > other.rank;
      return left > other.left;
    }
  };

  // Looks up the merge of symbol `left` and its neighbour; true if there is
  // one.
  bool FindJoin(int32_t left);
  void Push(int32_t left);

  const BpeMerges* merges_;
  std::vector<Symbol> symbols_;
  std::vector<Join> heap_;
  uint64_t steps_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_TOKENIZER_BPE_MERGER_H_
