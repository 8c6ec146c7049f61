// The sessions of this process. Owned by the server.
//
// A session lives on the loop that its id hashes to, and each loop has its own
// table, which only that loop touches; only the count is shared.

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_SESSION_STORE_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_SESSION_STORE_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "services/coordinator/client/session.h"
#include "services/coordinator/turn/event_loop.h"

namespace tandem {

struct SessionLimits {
  int64_t sessions_max = 10000;
  // Kept after the last turn or the lost connection.
  MonotonicDuration idle = std::chrono::hours(1);
};

// 128 bits from the operating system, in 32 hexadecimal digits.
std::string DrawSessionId();

class SessionStore {
 public:
  // `loops` (at least one) outlive the store.
  SessionStore(std::vector<EventLoop*> loops, const SessionLimits& limits);

  SessionStore(const SessionStore&) = delete;
  SessionStore& operator=(const SessionStore&) = delete;

  // Where the session with this id lives; any thread.
  EventLoop* LoopOf(absl::string_view session_id) const;
  // Sessions now; any thread.
  int64_t size() const { return sessions_.load(); }
  const SessionLimits& limits() const { return limits_; }

  // A new session on `loop`. On that loop. RESOURCE_EXHAUSTED with EXHAUSTED
  // at sessions_max.
  absl::StatusOr<Session*> Create(EventLoop* loop, const std::string& tenant);
  // On the session's loop. NOT_FOUND with UNKNOWN_SESSION for a session that
  // is not there and for another tenant's alike.
  absl::StatusOr<Session*> Find(const std::string& session_id,
                                const std::string& tenant);
  // On the session's loop.
  void Remove(Session* session);

 private:
  struct Shard {
    EventLoop* loop = nullptr;
    std::unordered_map<std::string, std::unique_ptr<Session>> sessions;
    EventLoop::TimerId expiry_timer;
  };

  size_t ShardIndex(absl::string_view session_id) const;
  void SetExpiryTimer(Shard* shard);
  // Removes what has been idle too long; again while there are sessions.
  void Expire(Shard* shard);

  const SessionLimits limits_;
  std::vector<Shard> shards_;
  std::atomic<int64_t> sessions_{0};
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_SESSION_STORE_H_
