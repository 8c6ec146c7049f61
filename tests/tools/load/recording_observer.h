// An observer that keeps what it hears and wakes a test that waits for it.

#ifndef TANDEM_TESTS_TOOLS_LOAD_RECORDING_OBSERVER_H_
#define TANDEM_TESTS_TOOLS_LOAD_RECORDING_OBSERVER_H_

#include <atomic>

#include "absl/synchronization/notification.h"
#include "tools/load/load_target.h"

namespace tandem::load {

class RecordingObserver final : public TurnObserver {
 public:
  void OnTokens(int64_t count) override {
    tokens += count;
    ++events;
    if (!has_tokens.HasBeenNotified()) has_tokens.Notify();
  }
  void OnEnd(const TurnOutcome& ended) override {
    outcome = ended;
    has_ended.Notify();
  }

  std::atomic<int64_t> tokens{0};
  std::atomic<int> events{0};
  absl::Notification has_tokens;
  absl::Notification has_ended;
  TurnOutcome outcome;  // once has_ended
};

// Runs a turn of `session` to its end.
inline TurnOutcome RunTurn(LoadSession* session, const LoadTurn& turn,
                           RecordingObserver* observer) {
  session->Start(turn, observer);
  observer->has_ended.WaitForNotification();
  return observer->outcome;
}

}  // namespace tandem::load

#endif  // TANDEM_TESTS_TOOLS_LOAD_RECORDING_OBSERVER_H_
