#include "tools/tandem/base/turn_report.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tools/tandem/base/json_input.h"

namespace tandem::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(TurnReportTest, AppendJoins) {
  TurnRecord record;
  v1::TokensGenerated more;
  more.add_token_ids(1);
  more.set_text("a");
  Append(more, &record);
  more.set_token_ids(0, 2);
  more.set_text("b");
  Append(more, &record);
  EXPECT_THAT(record.tokens.token_ids(), ElementsAre(1, 2));
  EXPECT_EQ(record.tokens.text(), "ab");
}

TEST(TurnReportTest, TheEndIsJoinedToo) {
  TurnRecord record;
  v1::TurnEnded ended;
  ended.set_text("a");
  ended.set_finish_reason(v1::FINISH_REASON_LENGTH);
  End(ended, &record);
  EXPECT_EQ(record.tokens.text(), "a");
  EXPECT_EQ(record.ended.finish_reason(), v1::FINISH_REASON_LENGTH);
  EXPECT_FALSE(TurnJson(record).contains("reply"));
}

TEST(TurnReportTest, JsonHasTheReplysParts) {
  TurnRecord record;
  v1::TokensGenerated more;
  more.set_text("<think>so</think>Yes<call>");
  more.mutable_reply()->set_reasoning("so");
  more.mutable_reply()->set_content("Yes");
  v1::ToolCallDelta* call = more.mutable_reply()->add_tool_calls();
  call->set_id("call_1");
  call->set_name("f");
  call->set_arguments("{\"b\": 1,");
  Append(more, &record);
  v1::TurnEnded ended;
  ended.mutable_reply()->add_tool_calls()->set_arguments(" \"a\": []}");
  End(ended, &record);
  const Json json = TurnJson(record);
  EXPECT_EQ(json["text"], "<think>so</think>Yes<call>");
  EXPECT_EQ(json["reply"].dump(),
            R"({"content":"Yes","reasoning":"so","tool_calls":[)"
            R"({"id":"call_1","name":"f","arguments":{"b":1,"a":[]}}]})");
}

TEST(TurnReportTest, ArgumentsThatAreNoObjectAreAText) {
  v1::ToolCallDelta call;
  for (const std::string& arguments :
       {std::string("{\"a\": "), std::string("[1]"), std::string(),
        std::string("{\"a\": 1e999}"),
        std::string(R"({"a":)") + std::string(100000, '[')}) {
    call.set_arguments(arguments);
    EXPECT_EQ(CallJson(call)["arguments"], arguments);
  }
  std::string deep = "1";
  for (int i = 0; i <= kJsonDepthMax; ++i) {
    deep = absl::StrCat(R"({"a":)", deep, "}");
  }
  call.set_arguments(deep);
  EXPECT_EQ(CallJson(call)["arguments"], deep);
}

TEST(TurnReportTest, JsonHasTheScoresOfThePrompt) {
  TurnRecord record;
  EXPECT_FALSE(TurnJson(record).contains("prompt_logprobs"));
  v1::PromptScored more;
  more.add_token_ids(5);
  more.add_logprobs();
  Append(more, &record);
  more.set_token_ids(0, 6);
  more.mutable_logprobs(0)->set_logprob(-0.5);
  v1::TokenLogprob* const best = more.mutable_logprobs(0)->add_alternatives();
  best->set_token_id(7);
  best->set_logprob(-0.25);
  more.add_token_ids(8);  // without its score: not taken
  Append(more, &record);
  EXPECT_EQ(TurnJson(record)["prompt_logprobs"].dump(),
            R"([{"token_id":5,"logprob":0.0,"alternatives":[]},)"
            R"({"token_id":6,"logprob":-0.5,"alternatives":)"
            R"([{"token_id":7,"logprob":-0.25}]}])");
}

TEST(TurnReportTest, JsonHasEveryKeyInOrder) {
  TurnRecord record;
  record.started.set_seed(18446744073709551615u);
  const Json json = TurnJson(record);
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  EXPECT_THAT(keys, ElementsAre("token_ids", "text", "finish_reason", "seed",
                                "usage", "speculation", "session_id", "turn",
                                "moves", "fingerprint", "model_id"));
  EXPECT_THAT(json.dump(), HasSubstr("\"token_ids\":[]"));
  record.ended.mutable_receipt()->set_tokens_hash("ab");
  EXPECT_EQ(TurnJson(record)["receipt"]["tokens_hash"], "ab");
  // Only chats have a day.
  record.started.set_template_date("2026-11-28");
  EXPECT_EQ(TurnJson(record)["template_date"], "2026-11-28");
  EXPECT_THAT(json.dump(), HasSubstr("\"seed\":18446744073709551615"));
  std::vector<std::string> figures;
  for (const auto& [key, value] : json["speculation"].items()) {
    figures.push_back(key);
  }
  EXPECT_THAT(
      figures,
      ElementsAre("rounds", "drafted_tokens", "accepted_tokens",
                  "acceptance_rate", "draft_us", "verify_us", "rpc_us",
                  "first_token_us", "total_us", "drafted_by_position",
                  "accepted_by_position", "lookup_drafted_tokens",
                  "lookup_accepted_tokens", "wait_us", "late_drafts",
                  "ahead_asked", "ahead_used", "queue_us", "no_draft_reason"));
}

TEST(TurnReportTest, InProcessThereIsNoSessionAndNoRpc) {
  TurnRecord record;
  record.in_process = true;
  record.started.set_model_id("m");
  v1::SpeculationStats& stats = *record.ended.mutable_speculation();
  stats.set_rounds(2);
  stats.set_verify_us(8000);
  stats.set_total_us(10000);
  const Json json = TurnJson(record);
  EXPECT_FALSE(json.contains("session_id"));
  EXPECT_FALSE(json.contains("turn"));
  EXPECT_FALSE(json.contains("moves"));
  EXPECT_EQ(json["model_id"], "m");
  const std::string text = TurnStats(record);
  EXPECT_THAT(text, HasSubstr("verify 80% (8 ms), other 20% (2 ms)\n"));
  EXPECT_THAT(text, HasSubstr("a round: draft 0.00 ms, verify 4.00 ms\n"));
  EXPECT_THAT(text, Not(HasSubstr("RPC")));
}

TEST(TurnReportTest, NothingDividesByZero) {
  TurnRecord record;
  EXPECT_EQ(TurnJson(record)["speculation"]["acceptance_rate"], 0);
  EXPECT_THAT(TurnStats(record),
              HasSubstr("speculation: 0 rounds of 0.00 tokens, nothing was "
                        "drafted: the coordinator does not say why\n"));
}

TEST(TurnReportTest, TellsWhyNothingWasDrafted) {
  TurnRecord record;
  v1::SpeculationStats* stats = record.ended.mutable_speculation();
  for (int i = 1; i < v1::NoDraftReason_ARRAYSIZE; ++i) {
    const auto reason = static_cast<v1::NoDraftReason>(i);
    stats->set_no_draft_reason(reason);
    EXPECT_THAT(TurnStats(record), Not(HasSubstr("does not say why")));
    EXPECT_EQ(TurnJson(record)["speculation"]["no_draft_reason"],
              NoDraftReasonName(reason));
  }
  // In a process of its own there is neither.
  record.in_process = true;
  for (const v1::NoDraftReason reason :
       {v1::NO_DRAFT_REASON_UNSPECIFIED, v1::NO_DRAFT_REASON_OFF,
        v1::NO_DRAFT_REASON_NO_ROOM, v1::NO_DRAFT_REASON_NO_DRAFT_WORKER,
        v1::NO_DRAFT_REASON_NO_MATCH, v1::NO_DRAFT_REASON_DOES_NOT_PAY}) {
    stats->set_no_draft_reason(reason);
    EXPECT_THAT(TurnStats(record), Not(HasSubstr("coordinator")));
    EXPECT_THAT(TurnStats(record), Not(HasSubstr("worker")));
  }
  EXPECT_EQ(NoDraftReasonName(v1::NO_DRAFT_REASON_UNSPECIFIED), "");
  EXPECT_EQ(NoDraftReasonName(v1::NO_DRAFT_REASON_DOES_NOT_PAY),
            "does_not_pay");
  EXPECT_EQ(NoDraftReasonName(static_cast<v1::NoDraftReason>(77)), "reason_77");
}

TEST(TurnReportTest, TheSessionLineCanBeTyped) {
  TurnRecord record;
  record.started.set_session_id("abc");
  record.started.set_turn(2);
  EXPECT_EQ(SessionLine(record),
            "session: turn 2; go on with: tandem generate --session abc "
            "'TEXT'\n");
  record.is_chat = true;
  EXPECT_THAT(SessionLine(record),
              HasSubstr("tandem generate --session abc --chat 'TEXT'"));
}

TEST(TurnReportTest, TellsWhatWasKeptOfThePrompt) {
  TurnRecord record;
  record.ended.mutable_usage()->set_prompt_tokens(300);
  record.ended.mutable_usage()->set_cached_prompt_tokens(256);
  EXPECT_EQ(TurnJson(record)["usage"]["cached_prompt_tokens"], 256);
  EXPECT_THAT(TurnStats(record),
              HasSubstr("prompt: 300 tokens, 256 of them kept from before\n"));
}

TEST(TurnReportTest, StatsSplitTheTime) {
  TurnRecord record;
  v1::SpeculationStats* stats = record.ended.mutable_speculation();
  stats->set_draft_us(100000);
  stats->set_verify_us(600000);
  stats->set_rpc_us(100000);
  stats->set_wait_us(70000);
  stats->set_total_us(1000000);
  EXPECT_THAT(TurnStats(record),
              HasSubstr("time: draft 10% (100 ms), verify 60% (600 ms), RPC "
                        "3% (30 ms), waiting in workers 7% (70 ms), other 20% "
                        "(200 ms)\n"));
}

TEST(TurnReportTest, StatsTellDraftsAndTheMeanRound) {
  TurnRecord record;
  EXPECT_THAT(TurnStats(record), Not(HasSubstr("drafts:")));
  EXPECT_THAT(TurnStats(record), Not(HasSubstr("a round:")));
  v1::SpeculationStats* stats = record.ended.mutable_speculation();
  stats->set_rounds(10);
  stats->set_drafted_tokens(18);
  stats->set_accepted_tokens(11);
  stats->add_drafted_by_position(10);
  stats->add_drafted_by_position(8);
  stats->add_accepted_by_position(9);
  stats->add_accepted_by_position(2);
  stats->set_lookup_drafted_tokens(6);
  stats->set_lookup_accepted_tokens(5);
  stats->set_late_drafts(3);
  stats->set_draft_us(20000);
  stats->set_verify_us(100000);
  stats->set_rpc_us(8000);
  stats->set_wait_us(5000);
  EXPECT_THAT(TurnStats(record),
              HasSubstr("drafts: accepted by position 90% 25%; model 6 of 12, "
                        "lookup 5 of 6; 3 came too late\n"));
  EXPECT_THAT(TurnStats(record),
              HasSubstr("a round: draft 2.00 ms, verify 10.00 ms, RPC 0.30 ms, "
                        "waiting in workers 0.50 ms\n"));
  EXPECT_EQ(TurnJson(record)["speculation"]["accepted_by_position"].dump(),
            "[9,2]");
}

}  // namespace
}  // namespace tandem::cli
