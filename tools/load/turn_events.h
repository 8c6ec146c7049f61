// The events of a tandem turn as a load sees them: common to Converse and
// Generate, whose responses have the same events. Pure translation.

#ifndef TANDEM_TOOLS_LOAD_TURN_EVENTS_H_
#define TANDEM_TOOLS_LOAD_TURN_EVENTS_H_

#include <string>

#include "tandem/v1/generation.pb.h"
#include "tools/load/load_target.h"

namespace tandem::load {

// The request of `turn` in the session; `common` has what all turns share.
// `session_id` empty: a new one.
v1::TurnRequest MakeTurnRequest(const LoadTurn& turn,
                                const v1::TurnRequest& common,
                                const std::string& session_id);

TurnOutcome OutcomeOf(const v1::TurnEnded& ended);

// Hands an event to `observer`; true where it was the turn's last.
// `session_id` is set by the first one.
template <typename Response>
bool TakeEvent(const Response& response, TurnObserver* observer,
               std::string* session_id) {
  switch (response.event_case()) {
    case Response::kStarted:
      *session_id = response.started().session_id();
      return false;
    case Response::kTokens:
      if (response.tokens().token_ids_size() > 0) {
        observer->OnTokens(response.tokens().token_ids_size());
      }
      return false;
    case Response::kEnded:
      observer->OnEnd(OutcomeOf(response.ended()));
      return true;
    case Response::EVENT_NOT_SET:
      return false;  // an event of a later version
  }
  return false;
}

}  // namespace tandem::load

#endif  // TANDEM_TOOLS_LOAD_TURN_EVENTS_H_
