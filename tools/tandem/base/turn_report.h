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
  v1::TokensGenerated tokens;  // all of them, joined, with their reply
  v1::TurnEnded ended;         // its text and reply are joined to `tokens`
  v1::PromptScored prompt;     // likewise; empty where it was not asked for
  bool in_process = false;     // no session, and no RPC to tell about
  bool is_chat = false;        // the prompt is messages
};

// Joins `more` to the record's tokens, or to those of its prompt.
void Append(const v1::TokensGenerated& more, TurnRecord* record);
void Append(const v1::PromptScored& more, TurnRecord* record);
// Takes the last event.
void End(const v1::TurnEnded& ended, TurnRecord* record);

// A call of a tool as an object: id, name and arguments, which are an object
// too, or a text where they are none (of a reply that was cut) or are nested
// more than kJsonDepthMax deep.
Json CallJson(const v1::ToolCallDelta& call);

// token_ids, text, finish_reason, seed, usage, speculation, session_id and turn
// (not in process), fingerprint, model_id; reply (content, reasoning,
// tool_calls) where the service told its parts; logprobs and prompt_logprobs
// (of each token of the turn's own prompt: token_id, logprob, alternatives)
// where they were asked for; receipt of a turn that came to its own end.
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
