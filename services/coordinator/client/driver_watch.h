// Asks the store again and again whether the sessions with a turn under way are
// still this process' to drive, and drops those that another coordinator has
// taken over. Owned by the server; everything belongs to the event loop.

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_DRIVER_WATCH_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_DRIVER_WATCH_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "services/coordinator/client/session_store.h"
#include "services/coordinator/store/state_store.h"
#include "services/coordinator/turn/event_loop.h"

namespace tandem {

// From an answer to the next question: a turn runs twice for about this long,
// with the same tokens at both, and only one of both has a client.
inline constexpr MonotonicDuration kDriverWatchInterval =
    std::chrono::milliseconds(800);

class DriverWatch {
 public:
  // All outlive the watch.
  DriverWatch(StateStore* store, SessionStore* sessions, EventLoop* loop)
      : store_(store), sessions_(sessions), loop_(loop) {}

  DriverWatch(const DriverWatch&) = delete;
  DriverWatch& operator=(const DriverWatch&) = delete;

  // Once, where there is a store.
  void Start() { SetTimer(); }

 private:
  void SetTimer();
  void Ask();
  void OnAnswer(const absl::StatusOr<std::vector<std::string>>& lost);

  StateStore* const store_;
  SessionStore* const sessions_;
  EventLoop* const loop_;
  struct Asked {
    std::string tenant;
    int64_t epoch = 0;
  };
  // Of the sessions in the question, by their ids.
  std::map<std::string, Asked> asked_;
  EventLoop::TimerId timer_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_DRIVER_WATCH_H_
