// What sessions that share a target's passes agree on: how often drafts are
// right, and how long they are. Each by itself would draft when the others do
// not; then the target waits for the one, or the one for the next pass, and all
// lose. A change has its price too: drafters run prompts, and until all have
// followed, those that draft and those that do not keep each other waiting. So
// the length changes once another would have saved as much. Any thread may
// call.

#ifndef TANDEM_ENGINE_SPECULATION_DRAFT_ACCORD_H_
#define TANDEM_ENGINE_SPECULATION_DRAFT_ACCORD_H_

#include <array>
#include <cstdint>
#include <mutex>
#include <optional>

#include "engine/sampling/gen_options.h"
#include "engine/speculation/acceptance.h"

namespace tandem {

class DraftAccord {
 public:
  // By draft length: the share of a round's time that it would save.
  using Gains = std::array<double, kDraftLengthLimit + 1>;

  // Rounds of all who share passes whose time another length must have saved
  // before it is taken.
  static constexpr double kRoundsToChange = 3;
  // Lately: about so many turns.
  static constexpr double kLatelyTurns = 32;

  explicit DraftAccord(double prior) : acceptance_(prior) {}

  // A draft of the model had its first `accepted` of `drafted` tokens right.
  void Add(int drafted, int accepted);
  Acceptance acceptance() const;

  // In a turn of `tokens` tokens a drafter's prompt took, or would have taken,
  // so long.
  void AddTurn(double opening_us, int64_t tokens);
  // Of such time, what falls on a token in turns as there were lately; 0 before
  // the first one's end.
  double OpeningUsPerToken() const;

  // Nothing before the first Weigh.
  std::optional<int> length() const;
  // What the lengths would have saved over `agreed` in the last `rounds` rounds
  // of a session, which is one of `sessions`. Nothing if another length has
  // been agreed on meanwhile. The first one to speak decides.
  void Weigh(std::optional<int> agreed, const Gains& gains, double rounds,
             double sessions);

 private:
  // std::mutex: ThreadSanitizer does not see into Abseil's.
  mutable std::mutex mutex_;
  Acceptance acceptance_;  // guarded by mutex_
  // Of the turns lately, the newest weighing the most.
  double opening_us_ = 0;      // guarded by mutex_
  double tokens_ = 0;          // guarded by mutex_
  std::optional<int> length_;  // guarded by mutex_
  // Rounds' time that each length would have saved since the last change, not
  // less than none.
  Gains saved_ = {};  // guarded by mutex_
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_SPECULATION_DRAFT_ACCORD_H_
