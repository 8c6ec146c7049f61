// Turns that go on although their client is gone (ON_DISCONNECT_GO_ON): nobody
// takes their tokens, which are stored and counted all the same. Each one waits
// to be resumed when its time is over, as other turns do at once. Owned by the
// server; everything belongs to the event loop.

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_LEFT_TURNS_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_LEFT_TURNS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

#include "services/coordinator/client/memory_budget.h"
#include "services/coordinator/client/session.h"
#include "services/coordinator/client/session_store.h"
#include "services/coordinator/client/turn_quotas.h"
#include "services/coordinator/turn/event_loop.h"

namespace tandem {

// Tokens of such a turn that may be uncounted: as many as a turn may be ahead
// of its reader (TurnLimits::unread_tokens_max).
inline constexpr int64_t kUncountedTokensMax = 64;

class LeftTurns {
 public:
  // All outlive this.
  LeftTurns(EventLoop* loop, SessionStore* sessions,
            const MemoryBudget* memory);
  ~LeftTurns();

  LeftTurns(const LeftTurns&) = delete;
  LeftTurns& operator=(const LeftTurns&) = delete;

  struct Left {
    Session* session = nullptr;  // its last turn runs; nothing holds it
    TurnAdmission admission;     // the turn keeps its place
    int64_t tokens_read = 0;     // tokens of the turn that its client may have
  };
  // The turn goes on for TurnSetup::go_on, or until its session is wanted: by a
  // resume or the next start, or because another coordinator has it. At once it
  // waits where memory is over its bound.
  void Add(Left left);
  // All wait from now on.
  void Stop();
  size_t size() const { return turns_.size(); }

 private:
  class LeftTurn;

  EventLoop* const loop_;
  SessionStore* const sessions_;
  const MemoryBudget* const memory_;
  std::map<const Session*, std::unique_ptr<LeftTurn>> turns_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_LEFT_TURNS_H_
