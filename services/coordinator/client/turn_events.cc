#include "services/coordinator/client/turn_events.h"

#include <spdlog/spdlog.h>

#include <chrono>
#include <optional>
#include <string>

#include "services/common/options_conversion.h"
#include "services/common/trace_context.h"
#include "services/common/turn_conversion.h"
#include "tandem/v1/turn_record.pb.h"

namespace tandem {
namespace {

void AddRound(const RoundPart& part, v1::TokensGenerated* tokens) {
  v1::VerifiedRound& round = *tokens->add_rounds();
  round.set_drafted_tokens(part.draft.drafted);
  round.set_accepted_tokens(part.draft.accepted);
  round.set_tokens(part.tokens);
  round.set_from_lookup(part.draft.from_lookup);
}

void AddReceipt(const TurnRunner& runner, v1::TurnEnded* ended) {
  if (!HasReceipt(ended->finish_reason())) return;
  const Turn& turn = runner.turn();
  const absl::Span<const TokenId> tokens = turn.session_tokens();
  *ended->mutable_receipt() = MakeReceipt(
      {.model_id = runner.model().id,
       .fingerprint = runner.model().fingerprint,
       .prompt = tokens.first(tokens.size() - turn.generated().size()),
       .options = turn.options(),
       .generated = turn.generated()});
}

}  // namespace

v1::ConverseResponse StartedEvent(const TurnRunner& runner) {
  v1::ConverseResponse event;
  v1::TurnStarted& started = *event.mutable_started();
  const TurnSetup& setup = runner.setup();
  started.set_session_id(setup.session_id);
  started.set_turn(setup.number);
  started.set_model_id(runner.model().id);
  started.set_fingerprint(runner.model().fingerprint);
  started.set_seed(runner.turn().options().seed.value_or(0));
  started.set_prompt_tokens(runner.usage().prompt_tokens);
  started.set_template_date(setup.template_date);
  started.set_model_changed(!setup.previous_fingerprint.empty() &&
                            setup.previous_fingerprint !=
                                runner.model().fingerprint);
  return event;
}

v1::ConverseResponse TokensEvent(const TurnRunner& runner,
                                 const TurnProgress& from,
                                 const TurnProgress& to) {
  v1::ConverseResponse event;
  v1::TokensGenerated& tokens = *event.mutable_tokens();
  const Turn& turn = runner.turn();
  const bool logprobs = turn.options().logprobs.has_value();
  tokens.set_first_token(from.tokens);
  for (int64_t i = from.tokens; i < to.tokens; ++i) {
    const size_t index = static_cast<size_t>(i);
    tokens.add_token_ids(turn.generated()[index]);
    if (logprobs) {
      *tokens.add_logprobs() = LogprobsToProto(turn.logprobs()[index]);
    }
  }
  for (const RoundPart& part :
       runner.rounds().Between(from.tokens, to.tokens)) {
    AddRound(part, &tokens);
  }
  if (to.text_bytes > from.text_bytes) {
    tokens.set_text(
        turn.text().substr(from.text_bytes, to.text_bytes - from.text_bytes));
  }
  return event;
}

v1::ConverseResponse PromptEvent(const PromptScoresPart& part) {
  v1::ConverseResponse event;
  v1::PromptScored& prompt = *event.mutable_prompt();
  prompt.set_first_token(part.first_token);
  for (const SampledToken& token : part.tokens) {
    prompt.add_token_ids(token.id);
    *prompt.add_logprobs() = LogprobsToProto(token);
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
  *ended.mutable_usage() = ToProto(runner.usage());
  ended.set_moves(runner.target().moves());
  const SpeculationCounts& counts = runner.turn().speculation();
  const TurnTimes& times = runner.times();
  v1::SpeculationStats& stats = *ended.mutable_speculation();
  SetCounts(counts, &stats);
  stats.set_draft_us(times.draft_us);
  stats.set_verify_us(times.verify_us);
  stats.set_rpc_us(times.rpc_us);
  stats.set_first_token_us(times.first_token_us);
  stats.set_total_us(times.total_us);
  stats.set_wait_us(times.wait_us);
  stats.set_queue_us(times.queue_us);
  stats.set_no_draft_reason(
      WhyNoDraft({.options = turn.options(),
                  .room = turn.context_max() - turn.usage().prompt_tokens,
                  .has_drafter = runner.drafter().has_drafter(),
                  .counts = counts}));
  return event;
}

void SetFigures(const v1::TurnEnded& end, v1::TurnEnded* ended) {
  ended->set_finish_reason(end.finish_reason());
  if (end.has_receipt()) {
    *ended->mutable_receipt() = end.receipt();
  } else if (!HasReceipt(end.finish_reason())) {
    ended->clear_receipt();
  }
  *ended->mutable_usage() = end.usage();
  *ended->mutable_speculation() = end.speculation();
  ended->set_moves(end.moves());
}

v1::ConverseResponse LastEvent(const TurnRunner& runner, size_t text_sent,
                               const std::optional<v1::TurnEnded>& loaded) {
  v1::ConverseResponse event = EndedEvent(runner, text_sent);
  AddReceipt(runner, event.mutable_ended());
  if (loaded.has_value()) SetFigures(*loaded, event.mutable_ended());
  return event;
}

std::string WriteTurnSetup(const TurnRunner& runner) {
  v1::TurnSetupRecord record;
  *record.mutable_options() = ToProto(runner.turn().options());
  if (runner.setup().timeout.has_value()) {
    record.set_timeout_ms(std::chrono::duration_cast<std::chrono::milliseconds>(
                              *runner.setup().timeout)
                              .count());
  }
  const std::optional<ReplySplit>& split = runner.setup().reply_split;
  record.set_split_reply(split.has_value());
  record.set_has_tools(split.has_value() && split->has_tools);
  record.set_starts_in_reasoning(split.has_value() &&
                                 split->starts_in_reasoning);
  if (runner.setup().prompt_logprobs.has_value()) {
    record.set_prompt_logprobs(runner.setup().prompt_logprobs->alternatives);
  }
  record.set_template_date(runner.setup().template_date);
  record.set_context_max(runner.turn().context_max());
  record.set_go_on_ms(std::chrono::duration_cast<std::chrono::milliseconds>(
                          runner.setup().go_on)
                          .count());
  return record.SerializeAsString();
}

void LogTrouble(const TurnRunner& runner, const std::string& what) {
  spdlog::warn("turn {} of session {}... {}", runner.setup().number,
               runner.setup().session_id.substr(0, 8), what);
}

void LogTurnEnd(const TurnRunner& runner) {
  const std::optional<TraceContext>& trace = runner.setup().trace;
  const bool sampled = trace.has_value() && trace->sampled;
  const SpeculationCounts& counts = runner.turn().speculation();
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
