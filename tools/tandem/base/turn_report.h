// What `generate`, `run` and `chat` say about a turn: the object of --json and
// the lines of --stats. Pure functions of the turn's events.

#ifndef TANDEM_TOOLS_TANDEM_BASE_TURN_REPORT_H_
#define TANDEM_TOOLS_TANDEM_BASE_TURN_REPORT_H_

#include <string>

#include "absl/strings/string_view.h"
#include "tandem/v1/generation.pb.h"
#include "tools/tandem/base/output.h"

namespace tandem::cli {

// The events of one turn, collected.
struct TurnRecord {
  v1::TurnStarted started;
  v1::TokensGenerated tokens;  // all of them, joined
  v1::TurnEnded ended;         // its text is joined to tokens.text
  bool in_process = false;     // no session, and no RPC to tell about
  bool is_chat = false;        // the prompt is messages
};

// Joins `more` to the record's tokens.
void Append(const v1::TokensGenerated& more, TurnRecord* record);

// token_ids, text, finish_reason, seed, usage, speculation, session_id and turn
// (not in process), fingerprint, model_id; logprobs where they were asked for;
// receipt of a turn that came to its own end.
Json TurnJson(const TurnRecord& record);

// The line that says how to go on in the turn's session.
std::string SessionLine(const TurnRecord& record);

// "off", "no_draft_worker", ...; "" where something was drafted.
std::string NoDraftReasonName(v1::NoDraftReason reason);

// Lines: speed, prompt, speculation, its drafts, where the time went, the mean
// round.
std::string TurnStats(const TurnRecord& record);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_BASE_TURN_REPORT_H_
