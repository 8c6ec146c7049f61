#include "tools/tandem/base/turn_report.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "services/client/joined_reply.h"
#include "tools/tandem/base/json_input.h"
#include "tools/tandem/base/receipt_file.h"

namespace tandem::cli {
namespace {

Json PositionJson(const v1::PositionLogprobs& position) {
  Json alternatives = Json::array();
  for (const v1::TokenLogprob& token : position.alternatives()) {
    alternatives.push_back(
        {{"token_id", token.token_id()}, {"logprob", token.logprob()}});
  }
  return {{"logprob", position.logprob()}, {"alternatives", alternatives}};
}

Json LogprobsJson(const v1::TokensGenerated& tokens) {
  Json positions = Json::array();
  for (const v1::PositionLogprobs& position : tokens.logprobs()) {
    positions.push_back(PositionJson(position));
  }
  return positions;
}

Json PromptJson(const v1::PromptScored& prompt) {
  Json positions = Json::array();
  for (int i = 0; i < prompt.token_ids_size(); ++i) {
    Json position = {{"token_id", prompt.token_ids(i)}};
    position.update(PositionJson(prompt.logprobs(i)));
    positions.push_back(std::move(position));
  }
  return positions;
}

Json ReplyJson(const v1::ReplyDelta& reply) {
  Json calls = Json::array();
  for (const v1::ToolCallDelta& call : reply.tool_calls()) {
    calls.push_back(CallJson(call));
  }
  return {{"content", reply.content()},
          {"reasoning", reply.reasoning()},
          {"tool_calls", calls}};
}

double Milliseconds(int64_t us) { return static_cast<double>(us) / 1000; }

double Percent(int64_t part, int64_t whole) {
  return 100 * Ratio(static_cast<double>(part), static_cast<double>(whole));
}

// "verify 61% (372 ms)"
std::string Share(absl::string_view name, int64_t part_us, int64_t total_us) {
  return absl::StrFormat("%s %.0f%% (%.0f ms)", name,
                         Percent(part_us, total_us), Milliseconds(part_us));
}

// "by position: 85% 74% 60%", and where drafts came from; "" where there was
// none.
std::string Drafts(const v1::SpeculationStats& stats) {
  if (stats.drafted_tokens() == 0) return "";
  std::string line = "drafts: accepted by position";
  const int positions = std::min(stats.drafted_by_position_size(),
                                 stats.accepted_by_position_size());
  for (int i = 0; i < positions; ++i) {
    absl::StrAppendFormat(
        &line, " %.0f%%",
        Percent(stats.accepted_by_position(i), stats.drafted_by_position(i)));
  }
  return absl::StrCat(
      line,
      absl::StrFormat("; model %d of %d, lookup %d of %d; %d came too late\n",
                      stats.accepted_tokens() - stats.lookup_accepted_tokens(),
                      stats.drafted_tokens() - stats.lookup_drafted_tokens(),
                      stats.lookup_accepted_tokens(),
                      stats.lookup_drafted_tokens(), stats.late_drafts()));
}

// Why nothing was drafted, and what may change that.
std::string WhyNoDraft(const TurnRecord& record) {
  const bool here = record.in_process;
  switch (record.ended.speculation().no_draft_reason()) {
    case v1::NO_DRAFT_REASON_OFF:
      return "it is turned off by --draft-length 0 or --draft-length-max 0";
    case v1::NO_DRAFT_REASON_NO_ROOM:
      return "a turn of one token has no room for a draft";
    case v1::NO_DRAFT_REASON_NO_DRAFT_WORKER:
      return here ? "no draft model was given (--draft FILE gives one)"
                  : "no draft worker that fits the model was there (`tandem "
                    "models` counts them)";
    case v1::NO_DRAFT_REASON_NO_MATCH:
      return "lookup found nothing to repeat in the session's text";
    case v1::NO_DRAFT_REASON_DOES_NOT_PAY:
      return "by what was measured it would not be faster here "
             "(--draft-length 4 drafts all the same)";
    case v1::NO_DRAFT_REASON_LATE:
      return "the draft worker answered too late";
    default:
      return here ? "the draft model proposed nothing"
                  : "the coordinator does not say why";
  }
}

// "3 of 4 drafted tokens accepted (75.0%)", or why there are none.
std::string Acceptance(const TurnRecord& record) {
  const v1::SpeculationStats& stats = record.ended.speculation();
  if (stats.drafted_tokens() == 0) {
    return absl::StrCat("nothing was drafted: ", WhyNoDraft(record));
  }
  return absl::StrFormat("%d of %d drafted tokens accepted (%.1f%%)",
                         stats.accepted_tokens(), stats.drafted_tokens(),
                         100 * AcceptanceRate(stats));
}

// The mean of a round; "" where there was none.
std::string MeanRound(const TurnRecord& record) {
  const v1::SpeculationStats& stats = record.ended.speculation();
  if (stats.rounds() == 0) return "";
  const auto a_round = [&stats](int64_t us) {
    return Milliseconds(us) / static_cast<double>(stats.rounds());
  };
  const std::string computing =
      absl::StrFormat("a round: draft %.2f ms, verify %.2f ms",
                      a_round(stats.draft_us()), a_round(stats.verify_us()));
  if (record.in_process) return absl::StrCat(computing, "\n");
  return absl::StrFormat("%s, RPC %.2f ms, waiting in workers %.2f ms\n",
                         computing, a_round(stats.rpc_us() - stats.wait_us()),
                         a_round(stats.wait_us()));
}

}  // namespace

void Append(const v1::TokensGenerated& more, TurnRecord* record) {
  client::JoinTokens(more, &record->tokens);
}

void End(const v1::TurnEnded& ended, TurnRecord* record) {
  record->ended = ended;
  client::JoinEnd(ended, &record->tokens);
}

Json CallJson(const v1::ToolCallDelta& call) {
  const absl::StatusOr<Json> arguments = ParseJsonObject(call.arguments());
  return {{"id", call.id()},
          {"name", call.name()},
          {"arguments", arguments.ok() ? *arguments : Json(call.arguments())}};
}

void Append(const v1::PromptScored& more, TurnRecord* record) {
  client::JoinPrompt(more, &record->prompt);
}

std::string NoDraftReasonName(v1::NoDraftReason reason) {
  if (reason == v1::NO_DRAFT_REASON_UNSPECIFIED) return "";
  return EnumWord(v1::NoDraftReason_Name(reason), "NO_DRAFT_REASON_", "reason",
                  reason);
}

std::string SessionLine(const TurnRecord& record) {
  const std::string& id = record.started.session_id();
  return absl::StrCat("session: turn ", record.started.turn(),
                      "; go on with: tandem generate --session ", id,
                      record.is_chat ? " --chat" : "", " 'TEXT'\n");
}

Json TurnJson(const TurnRecord& record) {
  const v1::TurnStarted& started = record.started;
  const v1::TurnEnded& ended = record.ended;
  Json speculation = SpeculationJson(ended.speculation());
  speculation["no_draft_reason"] =
      NoDraftReasonName(ended.speculation().no_draft_reason());
  Json json = {
      {"token_ids", record.tokens.token_ids()},
      {"text", record.tokens.text()},
      {"finish_reason", FinishReasonName(ended.finish_reason())},
      {"seed", started.seed()},
      {"usage",
       {{"prompt_tokens", ended.usage().prompt_tokens()},
        {"generated_tokens", ended.usage().generated_tokens()},
        {"cached_prompt_tokens", ended.usage().cached_prompt_tokens()}}},
      {"speculation", speculation}};
  if (!record.in_process) {
    json["session_id"] = started.session_id();
    json["turn"] = started.turn();
    json["moves"] = ended.moves();
  }
  json["fingerprint"] = started.fingerprint();
  json["model_id"] = started.model_id();
  if (!started.template_date().empty()) {
    json["template_date"] = started.template_date();
  }
  if (record.tokens.has_reply()) {
    json["reply"] = ReplyJson(record.tokens.reply());
  }
  if (record.tokens.logprobs_size() > 0) {
    json["logprobs"] = LogprobsJson(record.tokens);
  }
  if (record.prompt.token_ids_size() > 0) {
    json["prompt_logprobs"] = PromptJson(record.prompt);
  }
  if (ended.has_receipt()) json["receipt"] = ReceiptJson(ended.receipt());
  return json;
}

std::string TurnStats(const TurnRecord& record) {
  const v1::SpeculationStats& stats = record.ended.speculation();
  const int64_t tokens = record.ended.usage().generated_tokens();
  const int64_t total_us = stats.total_us();
  const double seconds = static_cast<double>(total_us) / 1e6;
  const double rate = Ratio(static_cast<double>(tokens), seconds);
  const double per_round =
      Ratio(static_cast<double>(tokens), static_cast<double>(stats.rounds()));
  const int64_t other_us = std::max<int64_t>(
      0, total_us - stats.draft_us() - stats.verify_us() - stats.rpc_us());
  return absl::StrCat(
      absl::StrFormat("tokens: %d in %.2f s (%.1f/s), the first after %.0f ms; "
                      "ended by %s; seed %u\n",
                      tokens, seconds, rate,
                      Milliseconds(stats.first_token_us()),
                      FinishReasonName(record.ended.finish_reason()),
                      record.started.seed()),
      absl::StrFormat("prompt: %d tokens, %d of them kept from before\n",
                      record.ended.usage().prompt_tokens(),
                      record.ended.usage().cached_prompt_tokens()),
      absl::StrFormat("speculation: %d rounds of %.2f tokens, %s\n",
                      stats.rounds(), per_round, Acceptance(record)),
      Drafts(stats), "time: ", Share("draft", stats.draft_us(), total_us), ", ",
      Share("verify", stats.verify_us(), total_us), ", ",
      record.in_process
          ? ""
          : absl::StrCat(
                Share("RPC", stats.rpc_us() - stats.wait_us(), total_us), ", ",
                Share("waiting in workers", stats.wait_us(), total_us), ", "),
      Share("other", other_us, total_us), "\n", MeanRound(record));
}

}  // namespace tandem::cli
