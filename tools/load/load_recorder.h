// Collects the figures of a run while it runs. Any thread; each call holds a
// lock for about 100 ns.

#ifndef TANDEM_TOOLS_LOAD_LOAD_RECORDER_H_
#define TANDEM_TOOLS_LOAD_LOAD_RECORDER_H_

#include <chrono>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "tools/load/load_figures.h"

namespace tandem::load {

using Clock = std::chrono::steady_clock;

// Where a turn stands; its observer's own.
struct TurnTimes {
  Clock::time_point began;
  Clock::time_point last_event;
  bool has_tokens = false;
  int64_t prompt_tokens = 0;
};

class LoadRecorder {
 public:
  // What happens before `counted_from` is not counted.
  explicit LoadRecorder(Clock::time_point counted_from)
      : counted_from_(counted_from) {}

  // An event with `tokens` of the turn came at `now`.
  void OnTokens(Clock::time_point now, int64_t tokens, TurnTimes* times);
  // The turn is over; `was_cut`: by the run's own end.
  void OnEnd(Clock::time_point now, const TurnOutcome& outcome,
             const TurnTimes& times, bool was_cut);
  void OnSkipped(Clock::time_point now);

  // The figures of the time from counted_from to `now`.
  LoadFigures FiguresAt(Clock::time_point now) const;

 private:
  const Clock::time_point counted_from_;
  mutable absl::Mutex mutex_;
  LoadFigures figures_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tandem::load

#endif  // TANDEM_TOOLS_LOAD_LOAD_RECORDER_H_
