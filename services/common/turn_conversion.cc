#include "services/common/turn_conversion.h"

#include "engine/speculation/speculator.h"

namespace tandem {

v1::FinishReason ToProto(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStopToken:
      return v1::FINISH_REASON_STOP_TOKEN;
    case FinishReason::kStopString:
      return v1::FINISH_REASON_STOP_STRING;
    case FinishReason::kGrammarEnd:
      return v1::FINISH_REASON_GRAMMAR_END;
    case FinishReason::kLength:
      return v1::FINISH_REASON_LENGTH;
    case FinishReason::kContext:
      return v1::FINISH_REASON_CONTEXT;
    case FinishReason::kCancelled:
      return v1::FINISH_REASON_CANCELLED;
    case FinishReason::kDeadline:
      return v1::FINISH_REASON_DEADLINE;
    case FinishReason::kError:
      break;
  }
  return v1::FINISH_REASON_UNSPECIFIED;
}

v1::Usage ToProto(const TurnUsage& usage) {
  v1::Usage result;
  result.set_prompt_tokens(usage.prompt_tokens);
  result.set_generated_tokens(usage.generated_tokens);
  result.set_cached_prompt_tokens(usage.cached_prompt_tokens);
  return result;
}

void SetCounts(const SpeculationCounts& counts, v1::SpeculationStats* stats) {
  stats->set_rounds(counts.rounds);
  stats->set_drafted_tokens(counts.drafted);
  stats->set_accepted_tokens(counts.accepted);
  for (const DraftCounts& position : counts.positions) {
    if (position.drafted == 0) break;
    stats->add_drafted_by_position(position.drafted);
    stats->add_accepted_by_position(position.accepted);
  }
  stats->set_lookup_drafted_tokens(counts.lookup.drafted);
  stats->set_lookup_accepted_tokens(counts.lookup.accepted);
  stats->set_late_drafts(counts.late);
  stats->set_ahead_asked(counts.ahead_asked);
  stats->set_ahead_used(counts.ahead_used);
}

v1::NoDraftReason WhyNoDraft(const DraftConditions& conditions) {
  const GenOptions& options = conditions.options;
  const SpeculationCounts& counts = conditions.counts;
  if (counts.drafted > 0) return v1::NO_DRAFT_REASON_UNSPECIFIED;
  if (DraftLengthMax(options) == 0) return v1::NO_DRAFT_REASON_OFF;
  if (options.max_tokens == 1 || conditions.room <= 1) {
    return v1::NO_DRAFT_REASON_NO_ROOM;
  }
  if (options.draft_sources == DraftSources::kLookup) {
    return v1::NO_DRAFT_REASON_NO_MATCH;
  }
  if (!conditions.has_drafter) return v1::NO_DRAFT_REASON_NO_DRAFT_WORKER;
  if (counts.late > 0) return v1::NO_DRAFT_REASON_LATE;
  if (options.draft_length.has_value()) {
    return v1::NO_DRAFT_REASON_UNSPECIFIED;  // it proposed nothing
  }
  return v1::NO_DRAFT_REASON_DOES_NOT_PAY;
}

}  // namespace tandem
