// What turns report to metrics: virtual, so that turns know no metrics library.
// Called on the event loop; nothing here may block.

#ifndef TANDEM_SERVICES_COORDINATOR_TURN_TURN_OBSERVER_H_
#define TANDEM_SERVICES_COORDINATOR_TURN_TURN_OBSERVER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "engine/session/turn.h"
#include "services/coordinator/turn/event_loop.h"
#include "services/coordinator/turn/turn_context.h"

namespace tandem {

// A turn that is over.
struct TurnSummary {
  // Why it ended; kError: it failed or was forgotten.
  FinishReason finish_reason = FinishReason::kError;
  TurnUsage usage;
  SpeculationCounts speculation;
  TurnTimes times;
};

class TurnObserver {
 public:
  virtual ~TurnObserver() = default;
  // The turn has its first tokens.
  virtual void OnFirstTokens(int64_t tokens, MonotonicDuration since_start) = 0;
  // The turn has more tokens. `since_last`: since the tokens before them;
  // absent where the turn waited to be resumed in between.
  virtual void OnTokens(int64_t tokens,
                        std::optional<MonotonicDuration> since_last) = 0;
  // What became of the draft of the round that brought such tokens.
  virtual void OnRound(const VerifiedDraft& draft) = 0;
  // Once for each turn.
  virtual void OnTurnOver(const TurnSummary& summary) = 0;
  // A Score call is done, for so many tokens of continuations.
  virtual void OnScored(int64_t tokens) = 0;
  // A client's stream, or a Score call, ended with an error that has this
  // reason.
  virtual void OnStreamFailed(const std::string& reason) = 0;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_TURN_TURN_OBSERVER_H_
