// The sessions of this process. Owned by the server; the event loop's, but for
// size().

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_SESSION_STORE_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_SESSION_STORE_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "engine/base/status.h"
#include "services/coordinator/client/session.h"
#include "services/coordinator/turn/event_loop.h"

namespace tandem {

struct SessionLimits {
  int64_t sessions_max = 10000;
  // A session is kept this long after its last turn or its lost connection.
  MonotonicDuration idle = std::chrono::hours(1);
};

// 128 bits from the operating system, in 32 hexadecimal digits.
std::string DrawSessionId();

class SessionStore {
 public:
  // `loop` outlives the store.
  SessionStore(EventLoop* loop, const SessionLimits& limits)
      : loop_(loop), limits_(limits) {}

  SessionStore(const SessionStore&) = delete;
  SessionStore& operator=(const SessionStore&) = delete;

  // Sessions now; any thread.
  int64_t size() const { return size_.load(); }
  const SessionLimits& limits() const { return limits_; }

  // A new session. RESOURCE_EXHAUSTED with EXHAUSTED at sessions_max.
  absl::StatusOr<Session*> Create(const std::string& tenant);
  // NOT_FOUND with UNKNOWN_SESSION for a session that is not there and for
  // another tenant's alike.
  absl::StatusOr<Session*> Find(const std::string& session_id,
                                const std::string& tenant);
  void Remove(const Session* session);

 private:
  void SetExpiryTimer();
  // Removes what has been idle too long; again while there are sessions.
  void Expire();

  EventLoop* const loop_;
  const SessionLimits limits_;
  std::unordered_map<std::string, std::unique_ptr<Session>> sessions_;
  std::atomic<int64_t> size_{0};  // of sessions_
  EventLoop::TimerId expiry_timer_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_SESSION_STORE_H_
