#include "tools/load/turn_events.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace tandem::load {
namespace {

// "length", "stop_token", ...
std::string ReasonName(v1::FinishReason reason) {
  const std::string name = v1::FinishReason_Name(reason);
  if (name.empty()) return absl::StrCat("reason_", static_cast<int>(reason));
  return absl::AsciiStrToLower(absl::StripPrefix(name, "FINISH_REASON_"));
}

}  // namespace

v1::TurnRequest MakeTurnRequest(const LoadTurn& turn,
                                const v1::TurnRequest& common,
                                const std::string& session_id) {
  v1::TurnRequest request = common;
  request.set_session_id(session_id);
  request.mutable_tokens()->mutable_ids()->Add(turn.prompt.begin(),
                                               turn.prompt.end());
  v1::GenerationOptions* options = request.mutable_options();
  options->set_max_tokens(static_cast<int32_t>(turn.output_tokens));
  options->set_seed(turn.seed);
  if (turn.draft_length.has_value()) {
    options->set_draft_length(*turn.draft_length);
  }
  return request;
}

TurnOutcome OutcomeOf(const v1::TurnEnded& ended) {
  const v1::SpeculationStats& stats = ended.speculation();
  TurnOutcome outcome;
  outcome.finish_reason = ReasonName(ended.finish_reason());
  outcome.figures = {.generated_tokens = ended.usage().generated_tokens(),
                     .rounds = stats.rounds(),
                     .drafted_tokens = stats.drafted_tokens(),
                     .accepted_tokens = stats.accepted_tokens(),
                     .draft_us = stats.draft_us(),
                     .verify_us = stats.verify_us(),
                     .rpc_us = stats.rpc_us(),
                     .wait_us = stats.wait_us(),
                     .late_drafts = stats.late_drafts(),
                     .cached_tokens = ended.usage().cached_prompt_tokens()};
  return outcome;
}

}  // namespace tandem::load
