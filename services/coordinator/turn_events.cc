#include "services/coordinator/turn_events.h"

#include <spdlog/spdlog.h>

#include <optional>
#include <string>

#include "services/common/options_conversion.h"
#include "services/common/trace_context.h"

namespace tandem {
namespace {

v1::FinishReason ToProto(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStopToken:
      return v1::FINISH_REASON_STOP_TOKEN;
    case FinishReason::kStopString:
      return v1::FINISH_REASON_STOP_STRING;
    case FinishReason::kLength:
      return v1::FINISH_REASON_LENGTH;
    case FinishReason::kContext:
      return v1::FINISH_REASON_CONTEXT;
    case FinishReason::kCancelled:
      return v1::FINISH_REASON_CANCELLED;
    case FinishReason::kDeadline:
      return v1::FINISH_REASON_DEADLINE;
    case FinishReason::kError:
      break;  // told as a status
  }
  return v1::FINISH_REASON_UNSPECIFIED;
}

}  // namespace

v1::ConverseResponse StartedEvent(const TurnRunner& runner) {
  v1::ConverseResponse event;
  v1::TurnStarted& started = *event.mutable_started();
  const TurnSetup& setup = runner.setup();
  started.set_session_id(setup.session_id);
  started.set_turn(setup.number);
  started.set_model_id(runner.model_id());
  started.set_fingerprint(runner.fingerprint());
  started.set_seed(setup.spec.options.seed.value_or(0));
  started.set_prompt_tokens(static_cast<int64_t>(setup.spec.prompt.size()));
  return event;
}

v1::ConverseResponse TokensEvent(const TurnRunner& runner,
                                 const TurnProgress& from,
                                 const TurnProgress& to) {
  v1::ConverseResponse event;
  v1::TokensGenerated& tokens = *event.mutable_tokens();
  const Turn& turn = runner.turn();
  const bool logprobs = turn.spec().options.logprobs.has_value();
  tokens.set_first_token(from.tokens);
  for (int64_t i = from.tokens; i < to.tokens; ++i) {
    const size_t index = static_cast<size_t>(i);
    tokens.add_token_ids(turn.generated()[index]);
    if (logprobs) {
      *tokens.add_logprobs() = LogprobsToProto(turn.logprobs()[index]);
    }
  }
  if (to.text_bytes > from.text_bytes) {
    tokens.set_text(
        turn.text().substr(from.text_bytes, to.text_bytes - from.text_bytes));
  }
  return event;
}

v1::ConverseResponse EndedEvent(const TurnRunner& runner, size_t text_sent) {
  v1::ConverseResponse event;
  v1::TurnEnded& ended = *event.mutable_ended();
  const Turn& turn = runner.turn();
  ended.set_finish_reason(ToProto(runner.finish_reason()));
  if (text_sent < turn.text().size()) {
    ended.set_text(turn.text().substr(text_sent));
  }
  const TurnUsage usage = runner.usage();
  ended.mutable_usage()->set_prompt_tokens(usage.prompt_tokens);
  ended.mutable_usage()->set_generated_tokens(usage.generated_tokens);
  ended.mutable_usage()->set_cached_prompt_tokens(usage.cached_prompt_tokens);
  const SpeculationCounts counts = runner.speculation();
  const TurnTimes& times = runner.times();
  v1::SpeculationStats& stats = *ended.mutable_speculation();
  stats.set_rounds(counts.rounds);
  stats.set_drafted_tokens(counts.drafted);
  stats.set_accepted_tokens(counts.accepted);
  stats.set_draft_us(times.draft_us);
  stats.set_verify_us(times.verify_us);
  stats.set_rpc_us(times.rpc_us);
  stats.set_first_token_us(times.first_token_us);
  stats.set_total_us(times.total_us);
  for (const DraftCounts& position : counts.positions) {
    if (position.drafted == 0) break;
    stats.add_drafted_by_position(position.drafted);
    stats.add_accepted_by_position(position.accepted);
  }
  stats.set_lookup_drafted_tokens(counts.lookup.drafted);
  stats.set_lookup_accepted_tokens(counts.lookup.accepted);
  stats.set_wait_us(times.wait_us);
  stats.set_late_drafts(counts.late);
  stats.set_ahead_asked(counts.ahead_asked);
  stats.set_ahead_used(counts.ahead_used);
  stats.set_queue_us(times.queue_us);
  return event;
}

void LogTurnEnd(const TurnRunner& runner) {
  const std::optional<TraceContext>& trace = runner.setup().trace;
  const bool sampled = trace.has_value() && trace->sampled();
  const SpeculationCounts counts = runner.speculation();
  const TurnTimes& times = runner.times();
  spdlog::log(sampled ? spdlog::level::info : spdlog::level::debug,
              "turn {} of session {}... ended ({}): {} tokens in {} ms, first "
              "after {} ms, {} rounds, {} of {} drafted accepted; trace {}",
              runner.setup().number, runner.setup().session_id.substr(0, 8),
              std::string(FinishReasonName(runner.finish_reason())),
              runner.turn().generated().size(), times.total_us / 1000,
              times.first_token_us / 1000, counts.rounds, counts.accepted,
              counts.drafted, trace.has_value() ? trace->trace_id : "-");
}

}  // namespace tandem
