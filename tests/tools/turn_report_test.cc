#include "tools/tandem/turn_report.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

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

TEST(TurnReportTest, FinishReasons) {
  EXPECT_EQ(FinishReasonName(v1::FINISH_REASON_STOP_TOKEN), "stop_token");
  EXPECT_EQ(FinishReasonName(v1::FINISH_REASON_STOP_STRING), "stop_string");
  EXPECT_EQ(FinishReasonName(v1::FINISH_REASON_LENGTH), "length");
  EXPECT_EQ(FinishReasonName(v1::FINISH_REASON_CONTEXT), "context");
  EXPECT_EQ(FinishReasonName(v1::FINISH_REASON_CANCELLED), "cancelled");
  EXPECT_EQ(FinishReasonName(v1::FINISH_REASON_DEADLINE), "deadline");
  EXPECT_EQ(FinishReasonName(static_cast<v1::FinishReason>(77)), "reason_77");
}

TEST(TurnReportTest, JsonHasEveryKeyInOrder) {
  TurnRecord record;
  record.started.set_seed(18446744073709551615u);
  const Json json = TurnJson(record);
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  EXPECT_THAT(keys, ElementsAre("token_ids", "text", "finish_reason", "seed",
                                "usage", "speculation", "session_id", "turn",
                                "fingerprint", "model_id"));
  EXPECT_THAT(json.dump(), HasSubstr("\"token_ids\":[]"));
  EXPECT_THAT(json.dump(), HasSubstr("\"seed\":18446744073709551615"));
  std::vector<std::string> figures;
  for (const auto& [key, value] : json["speculation"].items()) {
    figures.push_back(key);
  }
  EXPECT_THAT(figures,
              ElementsAre("rounds", "drafted_tokens", "accepted_tokens",
                          "acceptance_rate", "draft_us", "verify_us", "rpc_us",
                          "first_token_us", "total_us"));
}

TEST(TurnReportTest, NothingDividesByZero) {
  TurnRecord record;
  EXPECT_EQ(TurnJson(record)["speculation"]["acceptance_rate"], 0);
  EXPECT_THAT(TurnStats(record), HasSubstr("0 of 0 drafted tokens accepted"));
}

TEST(TurnReportTest, StatsSplitTheTime) {
  TurnRecord record;
  v1::SpeculationStats* stats = record.ended.mutable_speculation();
  stats->set_draft_us(100000);
  stats->set_verify_us(600000);
  stats->set_rpc_us(100000);
  stats->set_total_us(1000000);
  EXPECT_THAT(TurnStats(record),
              HasSubstr("time: draft 10% (100 ms), verify 60% (600 ms), RPC "
                        "10% (100 ms), other 20% (200 ms)\n"));
}

}  // namespace
}  // namespace tandem::cli
