// The figures of a chat: the line after each reply, and those of /stats. One
// thread.

#ifndef TANDEM_TOOLS_TANDEM_CHAT_FIGURES_H_
#define TANDEM_TOOLS_TANDEM_CHAT_FIGURES_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "tandem/v1/generation.pb.h"
#include "tools/tandem/base/turn_report.h"

namespace tandem::cli {

// How long rounds without a draft take here: the time between two events of
// which the second holds one such round. The coordinator runs such rounds
// between others where it chooses the draft length, so a chat measures what a
// round would cost without drafts.
class PlainRounds {
 public:
  void BeginTurn() { last_event_.reset(); }
  // `now` is a time of MonotonicNow, when the event came.
  void Add(const v1::TokensGenerated& event, absl::Time now);
  // The median of the last ones; nothing while there are too few.
  std::optional<absl::Duration> Median() const;

 private:
  std::optional<absl::Time> last_event_;
  std::vector<absl::Duration> times_;  // a ring of the last ones
  size_t next_ = 0;
};

struct DraftGain {
  double times = 1;          // speed over that without drafts
  bool is_measured = false;  // plain rounds were measured, not estimated
};

// What drafts brought, after the first token: tokens per round, times the
// duration of a plain round over that of the turn's rounds. Where no plain
// round was measured it is taken to be a round less the draft worker's part,
// which is too much, since a pass of several tokens takes longer than a pass of
// one: the gain is then the most that it can be. Nothing for turns that are too
// short, or without drafts.
std::optional<DraftGain> EstimateGain(
    const v1::TurnEnded& ended, std::optional<absl::Duration> plain_round);

// "38.2 tokens/s, 71% of 120 drafted tokens accepted, first token after 12 ms,
// about 1.6 times as fast as without drafts", without a newline.
std::string FigureLine(const TurnRecord& record,
                       std::optional<absl::Duration> plain_round);

// A line with the sums over `turns`.
std::string ConversationFigures(absl::Span<const TurnRecord* const> turns);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_CHAT_FIGURES_H_
