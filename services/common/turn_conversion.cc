#include "services/common/turn_conversion.h"

#include <bit>

#include "engine/base/hash.h"
#include "engine/speculation/speculator.h"
#include "services/common/options_conversion.h"
#include "services/common/version.h"

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

v1::Receipt MakeReceipt(const ReceiptSource& source) {
  v1::Receipt receipt;
  receipt.set_version(kTandemVersion);
  receipt.set_model_id(std::string(source.model_id));
  receipt.set_fingerprint(std::string(source.fingerprint));
  receipt.set_prompt_hash(HashOfTokens(source.prompt));
  receipt.set_prompt_tokens(static_cast<int64_t>(source.prompt.size()));
  v1::GenerationOptions& options = *receipt.mutable_options();
  options = ToProto(source.options);
  options.clear_draft_length();
  options.clear_draft_length_max();
  options.clear_draft_sources();
  receipt.set_tokens_hash(HashOfTokens(source.generated));
  receipt.set_generated_tokens(static_cast<int64_t>(source.generated.size()));
  return receipt;
}

bool HasReceipt(v1::FinishReason reason) {
  switch (reason) {
    case v1::FINISH_REASON_STOP_TOKEN:
    case v1::FINISH_REASON_STOP_STRING:
    case v1::FINISH_REASON_GRAMMAR_END:
    case v1::FINISH_REASON_LENGTH:
    case v1::FINISH_REASON_CONTEXT:
      return true;
    default:
      return false;
  }
}

std::string HashOfTokens(absl::Span<const TokenId> ids) {
  static_assert(sizeof(TokenId) == 4 &&
                std::endian::native == std::endian::little);
  return Sha256OfBytes({reinterpret_cast<const uint8_t*>(ids.data()),
                        ids.size() * sizeof(TokenId)});
}

}  // namespace tandem
