// The rounds of a turn that are over: where each one ended, and what became of
// its draft. Events are made of whole rounds, and say of each token where it is
// from. Owned by the TurnRunner; a value without a lock.

#ifndef TANDEM_SERVICES_COORDINATOR_TURN_TURN_ROUNDS_H_
#define TANDEM_SERVICES_COORDINATOR_TURN_TURN_ROUNDS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/session/turn.h"

namespace tandem {

// A part of a turn from its beginning: tokens, and bytes of their text.
struct TurnProgress {
  int64_t tokens = 0;
  size_t text_bytes = 0;
};

// A round, or what is left of it behind its first tokens. Its first
// `draft.accepted` tokens were drafted; a last one, if there is one more, is
// the target's own.
struct RoundPart {
  VerifiedDraft draft;
  int tokens = 0;
};

class TurnRounds {
 public:
  // The turn's next round.
  void Add(const EmitAction& emit);

  // Where the next event ends for a reader that has `tokens` and there are
  // more: up to `tokens_max` tokens later, and at least one round.
  TurnProgress NextGroup(int64_t tokens, int64_t tokens_max) const;
  // The rounds that brought the tokens from `from` to `to`, where a round ends.
  // In the middle of a round begins the reader of a resumed turn: of that round
  // only what is left counts, drafted and accepted tokens too.
  std::vector<RoundPart> Between(int64_t from, int64_t to) const;

  // About what they take of memory.
  int64_t bytes() const {
    return static_cast<int64_t>(rounds_.capacity() * sizeof(Round));
  }

 private:
  // 16 bytes: a context has fewer than 2^32 tokens.
  struct Round {
    size_t text_end = 0;
    uint32_t tokens_end = 0;
    VerifiedDraft draft;
  };
  static_assert(sizeof(Round) <= 16);
  using Iterator = std::vector<Round>::const_iterator;

  // The round of token `token`.
  Iterator At(int64_t token) const;

  std::vector<Round> rounds_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_TURN_TURN_ROUNDS_H_
