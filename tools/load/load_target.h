// The seam between a load and the kind of server that it goes to.

#ifndef TANDEM_TOOLS_LOAD_LOAD_TARGET_H_
#define TANDEM_TOOLS_LOAD_LOAD_TARGET_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "tools/load/turn_source.h"

namespace tandem::load {

// What a server told of a turn at its end; times in microseconds.
struct TurnFigures {
  int64_t generated_tokens = 0;
  // Absent where the server does not tell them.
  std::optional<int64_t> rounds = {};
  int64_t drafted_tokens = 0;
  int64_t accepted_tokens = 0;
  int64_t draft_us = 0;
  int64_t verify_us = 0;
  int64_t rpc_us = 0;   // with wait_us
  int64_t wait_us = 0;  // waiting in workers
  int64_t late_drafts = 0;
  std::optional<int64_t> cached_tokens = {};  // of the prompt
  std::optional<int64_t> queue_us = {};
};

struct TurnOutcome {
  absl::Status status;        // not OK: the turn failed
  std::string finish_reason;  // where it is OK
  TurnFigures figures = {};
};

// Hears of one turn, on any thread, one call at a time; none may block.
class TurnObserver {
 public:
  virtual ~TurnObserver() = default;
  // An event with so many tokens came, one or more.
  virtual void OnTokens(int64_t count) = 0;
  // The last call of a turn.
  virtual void OnEnd(const TurnOutcome& outcome) = 0;
};

// One session with the server: one turn after the other. Used and destroyed by
// one thread, and destroyed only while no turn is under way.
class LoadSession {
 public:
  virtual ~LoadSession() = default;
  // Starts a turn and returns; `observer` lives until its OnEnd, which may come
  // inside this call. After an outcome that is not OK the session is of no
  // further use.
  virtual void Start(const LoadTurn& turn, TurnObserver* observer) = 0;
  // Asks for the end of the turn under way, by its own event if it can be.
  virtual void Cancel() = 0;
  // Ends the turn under way whatever the server does: OnEnd follows soon.
  virtual void Abort() = 0;
};

// Makes sessions; outlives them. Its destructor waits for what is left of them.
class LoadTarget {
 public:
  virtual ~LoadTarget() = default;
  virtual std::unique_ptr<LoadSession> NewSession() = 0;
};

}  // namespace tandem::load

#endif  // TANDEM_TOOLS_LOAD_LOAD_TARGET_H_
