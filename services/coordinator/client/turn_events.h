// The events of a turn, as they go to a client, and its line in the log. Pure
// functions of a TurnRunner, on its loop.

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_TURN_EVENTS_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_TURN_EVENTS_H_

#include <cstddef>
#include <optional>
#include <string>

#include "services/coordinator/turn/prompt_scores.h"
#include "services/coordinator/turn/turn_runner.h"
#include "tandem/v1/generation.pb.h"

namespace tandem {

v1::ConverseResponse StartedEvent(const TurnRunner& runner);
// What lies between `from` and `to`, which a round's end is.
v1::ConverseResponse TokensEvent(const TurnRunner& runner,
                                 const TurnProgress& from,
                                 const TurnProgress& to);
// Scores of the turn's prompt.
v1::ConverseResponse PromptEvent(const PromptScoresPart& part);
// The turn has ended; `text_sent` bytes of its text were sent. Without receipt.
v1::ConverseResponse EndedEvent(const TurnRunner& runner, size_t text_sent);

// Reason, usage, speculation and moves of `end` in place of those in `ended`,
// and its receipt where it has one: those of a turn that another process ended.
void SetFigures(const v1::TurnEnded& end, v1::TurnEnded* ended);

// The last event for a client: EndedEvent with the receipt, where the turn came
// to its own end. `loaded`: the end of a turn that another process ended.
v1::ConverseResponse LastEvent(const TurnRunner& runner, size_t text_sent,
                               const std::optional<v1::TurnEnded>& loaded);

// What the store keeps of the turn beside its tokens: a TurnSetupRecord.
std::string WriteTurnSetup(const TurnRunner& runner);

// A warning for the log: `what` has befallen the turn.
void LogTrouble(const TurnRunner& runner, const std::string& what);
// One line for the log: at level info for a trace that its caller records, else
// debug.
void LogTurnEnd(const TurnRunner& runner);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_TURN_EVENTS_H_
