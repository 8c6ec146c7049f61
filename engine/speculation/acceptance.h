// How likely drafts of one source are right, by their position in the draft,
// from what was seen lately. Owned by a DraftPolicy or a Speculator,
// which guards it.

#ifndef TANDEM_ENGINE_SPECULATION_ACCEPTANCE_H_
#define TANDEM_ENGINE_SPECULATION_ACCEPTANCE_H_

#include <array>

#include "engine/sampling/gen_options.h"

namespace tandem {

class Acceptance {
 public:
  // `prior`: the chance before anything was seen.
  explicit Acceptance(double prior) : prior_(prior) {}

  // A draft of `drafted` tokens had its first `accepted` right. What follows
  // the first that was wrong tells nothing.
  void Add(int drafted, int accepted);

  // A round has passed: what was seen weighs a little less, so that new
  // evidence soon outweighs it, but never less than kPriorTrials trials:
  // without new evidence an estimate stays.
  void Age();

  // That the token at `position` (from 0) is right where those before it are.
  // A position that was seen little goes by all of them together.
  double Chance(int position) const;
  // Tokens accepted of a draft of `length`, in the mean.
  double Expected(int length) const;
  // That all of a draft of `length` are right.
  double AllRight(int length) const;

  // Weights, in trials: of a prior, and the least that ageing leaves; the most
  // that count at all, of which a round takes one.
  static constexpr double kPriorTrials = 8;
  static constexpr double kTrialsMax = 256;

 private:
  struct Tally {
    double trials = 0;
    double hits = 0;

    void Add(bool hit);
    void Limit(double trials_max);
  };

  double prior_;
  Tally pooled_;
  std::array<Tally, kDraftLengthLimit> positions_ = {};
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_SPECULATION_ACCEPTANCE_H_
