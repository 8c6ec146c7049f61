// Prompt lookup: drafts what followed the last time that the session's text
// ended as it does now. Needs no model. Owned by a turn; one thread.
//
// A hash table maps the last place of each run of 2, 3 and 4 tokens to what
// follows it. It is direct-mapped: of two runs with one slot the newer one
// stays, and a match is compared token by token. So appending and looking are
// O(1), memory is bounded, and the same tokens give the same drafts.

#ifndef TANDEM_ENGINE_SPECULATION_NGRAM_DRAFTER_H_
#define TANDEM_ENGINE_SPECULATION_NGRAM_DRAFTER_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/base/types.h"

namespace tandem {

class NgramDrafter {
 public:
  static constexpr int kShortestRun = 2;
  static constexpr int kLongestRun = 4;
  // Tokens that are looked through; when twice as many are held, the older half
  // is forgotten. With 4 bytes a token and 32 to 64 of the table that is at
  // most 576 KiB.
  static constexpr int kWindow = 8192;

  struct Match {
    int length = 0;     // of the run, kShortestRun .. kLongestRun; 0: none
    uint32_t next = 0;  // place of the token that followed
  };

  void Append(TokenId token);

  // The last place before the end where the longest run of kLongestRun ..
  // kShortestRun tokens stood that the text ends with.
  Match Find() const;
  // What followed `match`, which Find just gave: exactly `length` tokens. Where
  // the text ends before that, the draft goes on with itself: a text that
  // repeats is expected to go on so.
  std::vector<TokenId> Draft(const Match& match, int length) const;

 private:
  size_t SlotOf(size_t end, int run) const;
  // Enters the runs that end before the place `end`.
  void Enter(size_t end);
  void Rebuild(size_t slots);

  std::vector<TokenId> tokens_;
  std::vector<uint32_t> slots_;  // places; 0: none. A power of two of them.
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_SPECULATION_NGRAM_DRAFTER_H_
