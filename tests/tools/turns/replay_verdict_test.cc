#include "tools/tandem/turns/replay_verdict.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "engine/sampling/gen_options.h"
#include "services/common/turn_conversion.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;

struct Run {
  std::vector<TokenId> prompt = {1, 2};
  std::vector<TokenId> generated = {5, 6, 7};
  std::string fingerprint = "fp";
  std::string version = "1";
  int32_t choice = 0;
};

TurnRecord RecordOf(const Run& run) {
  GenOptions options;
  options.seed = 3;
  options.choice = run.choice;
  TurnRecord record;
  v1::Receipt& receipt = *record.ended.mutable_receipt();
  receipt = MakeReceipt({.model_id = "m",
                         .fingerprint = run.fingerprint,
                         .prompt = run.prompt,
                         .options = options,
                         .generated = run.generated});
  receipt.set_version(run.version);
  record.tokens.mutable_token_ids()->Add(run.generated.begin(),
                                         run.generated.end());
  return record;
}

// Of a replay that ran so, by the receipt of Run's defaults.
ReplayVerdict Judge(const Run& replayed, bool has_ids = true) {
  ReceiptFile file = {.receipt = RecordOf({}).ended.receipt()};
  if (has_ids) file.token_ids = Run().generated;
  return JudgeReplay(file, RecordOf(replayed));
}

TEST(ReplayVerdictTest, EqualIsEqual) {
  const ReplayVerdict verdict = Judge({});
  EXPECT_TRUE(verdict.has_same_tokens);
  EXPECT_FALSE(verdict.first_difference.has_value());
  EXPECT_EQ(verdict.summary, "equal: 3 tokens; fingerprint fp");
  const Json json = VerdictJson(verdict);
  EXPECT_EQ(json["equal"], true);
  EXPECT_TRUE(json["first_difference"].is_null());
  EXPECT_THAT(Judge({.fingerprint = "other"}).summary,
              HasSubstr("equal: 3 tokens, although the fingerprint"));
}

TEST(ReplayVerdictTest, NamesTheFirstTokenThatDiffersAndWhy) {
  const ReplayVerdict verdict =
      Judge({.generated = {5, 9, 7}, .fingerprint = "other"});
  ASSERT_TRUE(verdict.first_difference.has_value());
  EXPECT_EQ(verdict.first_difference->index, 1);
  EXPECT_THAT(verdict.summary,
              HasSubstr("index 1 differs: the receipt has token 6, the replay "
                        "token 9: the model or its numerics"));
  EXPECT_THAT(verdict.summary, HasSubstr("is other, not fp"));
  const Json json = VerdictJson(verdict);
  EXPECT_EQ(json["equal"], false);
  EXPECT_EQ(json["same_fingerprint"], false);
  EXPECT_EQ(json["first_difference"], 1);
  EXPECT_EQ(json["expected_token"], 6);
  EXPECT_EQ(json["token"], 9);
}

TEST(ReplayVerdictTest, ATextThatEndsSoonerOrLaterDiffersThere) {
  const ReplayVerdict shorter = Judge({.generated = {5, 6}});
  EXPECT_EQ(shorter.first_difference->index, 2);
  EXPECT_FALSE(shorter.first_difference->found.has_value());
  EXPECT_THAT(shorter.summary, HasSubstr("token 7, the replay the end"));
  const ReplayVerdict longer = Judge({.generated = {5, 6, 7, 8}});
  EXPECT_EQ(longer.first_difference->index, 3);
  EXPECT_THAT(longer.summary, HasSubstr("the end, the replay token 8"));
}

TEST(ReplayVerdictTest, SaysTheNearestReason) {
  EXPECT_THAT(Judge({.generated = {9}, .choice = 1}).summary,
              HasSubstr("did not use the receipt's options"));
  EXPECT_THAT(Judge({.generated = {9}, .version = "2"}).summary,
              HasSubstr("versions are not (2, not 1)"));
  EXPECT_THAT(Judge({.generated = {9}}).summary,
              HasSubstr("an error of tandem or of a machine"));
  EXPECT_THAT(Judge({.generated = {9}}, /*has_ids=*/false).summary,
              HasSubstr("has no token_ids"));
}

TEST(ReplayVerdictTest, AnotherPromptSaysNothingOfTokens) {
  const ReplayVerdict verdict = Judge({.prompt = {1, 2, 3}});
  EXPECT_FALSE(verdict.has_same_prompt);
  EXPECT_THAT(verdict.summary, HasSubstr("another prompt: it has 3 tokens"));
  EXPECT_EQ(VerdictJson(verdict)["equal"], false);
}

}  // namespace
}  // namespace tandem::cli
