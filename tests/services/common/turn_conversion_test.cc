#include "services/common/turn_conversion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "services/common/version.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;

TEST(TurnConversionTest, EveryFinishReasonHasItsOwn) {
  EXPECT_EQ(ToProto(FinishReason::kStopToken), v1::FINISH_REASON_STOP_TOKEN);
  EXPECT_EQ(ToProto(FinishReason::kStopString), v1::FINISH_REASON_STOP_STRING);
  EXPECT_EQ(ToProto(FinishReason::kGrammarEnd), v1::FINISH_REASON_GRAMMAR_END);
  EXPECT_EQ(ToProto(FinishReason::kLength), v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(ToProto(FinishReason::kContext), v1::FINISH_REASON_CONTEXT);
  EXPECT_EQ(ToProto(FinishReason::kCancelled), v1::FINISH_REASON_CANCELLED);
  EXPECT_EQ(ToProto(FinishReason::kDeadline), v1::FINISH_REASON_DEADLINE);
  EXPECT_EQ(ToProto(FinishReason::kError), v1::FINISH_REASON_UNSPECIFIED);
}

TEST(TurnConversionTest, UsageKeepsEveryField) {
  const v1::Usage usage = ToProto(TurnUsage{
      .prompt_tokens = 3, .generated_tokens = 5, .cached_prompt_tokens = 2});
  EXPECT_EQ(usage.prompt_tokens(), 3);
  EXPECT_EQ(usage.generated_tokens(), 5);
  EXPECT_EQ(usage.cached_prompt_tokens(), 2);
}

TEST(TurnConversionTest, CountsKeepEveryFieldAndLeaveTimes) {
  SpeculationCounts counts = {.rounds = 7,
                              .drafted = 20,
                              .accepted = 11,
                              .lookup = {.drafted = 4, .accepted = 1},
                              .late = 2,
                              .ahead_asked = 6,
                              .ahead_used = 5};
  counts.positions[0] = {.drafted = 12, .accepted = 9};
  counts.positions[1] = {.drafted = 8, .accepted = 2};
  v1::SpeculationStats stats;
  stats.set_verify_us(99);
  SetCounts(counts, &stats);
  EXPECT_EQ(stats.rounds(), 7);
  EXPECT_EQ(stats.drafted_tokens(), 20);
  EXPECT_EQ(stats.accepted_tokens(), 11);
  EXPECT_THAT(stats.drafted_by_position(), ElementsAre(12, 8));
  EXPECT_THAT(stats.accepted_by_position(), ElementsAre(9, 2));
  EXPECT_EQ(stats.lookup_drafted_tokens(), 4);
  EXPECT_EQ(stats.lookup_accepted_tokens(), 1);
  EXPECT_EQ(stats.late_drafts(), 2);
  EXPECT_EQ(stats.ahead_asked(), 6);
  EXPECT_EQ(stats.ahead_used(), 5);
  EXPECT_EQ(stats.verify_us(), 99);
}

TEST(TurnConversionTest, TheNearestReasonSaysWhyNothingWasDrafted) {
  const auto fixed = [](int length) {
    GenOptions options;
    options.draft_length = length;
    return options;
  };
  const GenOptions automatic;
  const GenOptions off = fixed(0);
  const GenOptions four = fixed(4);
  GenOptions lookup = fixed(4);
  lookup.draft_sources = DraftSources::kLookup;
  GenOptions model = fixed(4);
  model.draft_sources = DraftSources::kModel;
  GenOptions one_token;
  one_token.max_tokens = 1;
  const SpeculationCounts none;
  const SpeculationCounts late = {.rounds = 3, .late = 2};
  const SpeculationCounts drafted = {.rounds = 3, .drafted = 1};
  const struct {
    DraftConditions conditions;
    v1::NoDraftReason reason;
  } kCases[] = {
      {{automatic, 100, true, drafted}, v1::NO_DRAFT_REASON_UNSPECIFIED},
      {{automatic, 1, false, drafted}, v1::NO_DRAFT_REASON_UNSPECIFIED},
      {{off, 1, false, none}, v1::NO_DRAFT_REASON_OFF},
      {{one_token, 100, true, none}, v1::NO_DRAFT_REASON_NO_ROOM},
      {{automatic, 1, true, none}, v1::NO_DRAFT_REASON_NO_ROOM},
      {{lookup, 100, false, none}, v1::NO_DRAFT_REASON_NO_MATCH},
      {{lookup, 100, true, late}, v1::NO_DRAFT_REASON_NO_MATCH},
      {{automatic, 100, false, none}, v1::NO_DRAFT_REASON_NO_DRAFT_WORKER},
      {{model, 100, false, none}, v1::NO_DRAFT_REASON_NO_DRAFT_WORKER},
      {{four, 100, false, none}, v1::NO_DRAFT_REASON_NO_DRAFT_WORKER},
      {{automatic, 100, true, late}, v1::NO_DRAFT_REASON_LATE},
      {{four, 100, true, none}, v1::NO_DRAFT_REASON_UNSPECIFIED},
      {{automatic, 100, true, none}, v1::NO_DRAFT_REASON_DOES_NOT_PAY}};
  for (size_t i = 0; i < std::size(kCases); ++i) {
    EXPECT_EQ(WhyNoDraft(kCases[i].conditions), kCases[i].reason) << i;
  }
}

// What another program makes of the same ids, as sha256sum of their bytes.
TEST(ReceiptTest, HashesAreOfLittleEndianIntegers) {
  EXPECT_EQ(HashOfTokens(std::vector<TokenId>{1, 2, 300}),
            "ec23a88fb0aa4b38d5442523720f6576"
            "ba6310212cb39a86e9b71f42741f74f8");
  EXPECT_EQ(HashOfTokens({}),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(ReceiptTest, HasAllThatATextDependsOn) {
  GenOptions options;
  options.seed = 7;
  options.choice = 3;
  options.stop_strings = {"x"};
  const std::vector<TokenId> prompt = {1, 2, 300};
  const std::vector<TokenId> generated = {4, 5};
  const ReceiptSource source = {.model_id = "m",
                                .fingerprint = "fp",
                                .prompt = prompt,
                                .options = options,
                                .generated = generated};
  const v1::Receipt receipt = MakeReceipt(source);
  EXPECT_EQ(receipt.version(), kTandemVersion);
  EXPECT_EQ(receipt.model_id(), "m");
  EXPECT_EQ(receipt.fingerprint(), "fp");
  EXPECT_EQ(receipt.prompt_hash(), HashOfTokens(prompt));
  EXPECT_EQ(receipt.prompt_tokens(), 3);
  EXPECT_EQ(receipt.tokens_hash(), HashOfTokens(generated));
  EXPECT_EQ(receipt.generated_tokens(), 2);
  // Defaults are written out: they may be others in a later version.
  EXPECT_TRUE(receipt.options().has_temperature());
  EXPECT_EQ(receipt.options().max_tokens(), GenOptions().max_tokens);
  EXPECT_EQ(receipt.options().seed(), 7u);
  EXPECT_EQ(receipt.options().choice(), 3);
  // How it was drafted does not matter.
  options.draft_length = 4;
  options.draft_length_max = 8;
  options.draft_sources = DraftSources::kLookup;
  EXPECT_EQ(MakeReceipt(source).SerializeAsString(),
            receipt.SerializeAsString());
}

TEST(ReceiptTest, IsOfTurnsThatCameToTheirOwnEnd) {
  for (const FinishReason reason :
       {FinishReason::kStopToken, FinishReason::kStopString,
        FinishReason::kGrammarEnd, FinishReason::kLength,
        FinishReason::kContext}) {
    EXPECT_TRUE(HasReceipt(ToProto(reason)));
  }
  for (const FinishReason reason :
       {FinishReason::kCancelled, FinishReason::kDeadline,
        FinishReason::kError}) {
    EXPECT_FALSE(HasReceipt(ToProto(reason)));
  }
}

}  // namespace
}  // namespace tandem
