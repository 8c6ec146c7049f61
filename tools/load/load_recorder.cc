#include "tools/load/load_recorder.h"

#include <algorithm>

namespace tandem::load {
namespace {

int64_t Microseconds(Clock::duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration)
      .count();
}

}  // namespace

void LoadRecorder::OnTokens(Clock::time_point now, int64_t tokens,
                            TurnTimes* times) {
  const bool is_first = !times->has_tokens;
  const int64_t gap_us =
      Microseconds(now - (is_first ? times->began : times->last_event));
  times->has_tokens = true;
  times->last_event = now;
  if (now < counted_from_) return;
  absl::MutexLock lock(&mutex_);
  ++figures_.events;
  figures_.generated_tokens += tokens;
  if (is_first) {
    figures_.first_token_us.Add(gap_us);
    figures_.prompt_tokens += times->prompt_tokens;
    return;
  }
  figures_.event_gap_us.Add(gap_us);
  figures_.token_gap_us.Add(gap_us / tokens, tokens);
}

void LoadRecorder::OnEnd(Clock::time_point now, const TurnOutcome& outcome,
                         const TurnTimes& times, bool was_cut) {
  if (now < counted_from_) return;
  absl::MutexLock lock(&mutex_);
  if (was_cut) {
    ++figures_.turns_cut;
    // What cancelling makes of a turn is no error of the server's.
    if (outcome.status.ok()) figures_.AddEnd(outcome);
    return;
  }
  figures_.AddEnd(outcome);
  if (!outcome.status.ok()) return;
  ++figures_.turns_ended;
  figures_.turn_us.Add(Microseconds(now - times.began));
}

void LoadRecorder::OnSkipped(Clock::time_point now) {
  if (now < counted_from_) return;
  absl::MutexLock lock(&mutex_);
  ++figures_.arrivals_skipped;
}

LoadFigures LoadRecorder::FiguresAt(Clock::time_point now) const {
  absl::MutexLock lock(&mutex_);
  LoadFigures figures = figures_;
  figures.seconds =
      std::max(0.0, std::chrono::duration<double>(now - counted_from_).count());
  return figures;
}

}  // namespace tandem::load
