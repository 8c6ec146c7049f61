#include "engine/speculation/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "engine/base/error_reason.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;

constexpr int kVocabSize = 4;

GenOptions Greedy() {
  GenOptions options;
  options.temperature = 0;
  options.repetition_penalty = 1;
  return options;
}

// A row whose highest logit is that of `id`.
std::vector<float> RowFor(TokenId id) {
  std::vector<float> row(kVocabSize, 0.0f);
  row[id] = 1;
  return row;
}

std::vector<TokenId> Ids(const std::vector<SampledToken>& tokens) {
  std::vector<TokenId> ids;
  for (const SampledToken& token : tokens) ids.push_back(token.id);
  return ids;
}

// Feeds the rows that choose `targets` against `draft`.
std::vector<TokenId> Verify(const std::vector<TokenId>& draft,
                            const std::vector<TokenId>& targets,
                            LogitsProcessor* processor) {
  Verification verification(processor, draft);
  for (const TokenId target : targets) {
    std::vector<float> row = RowFor(target);
    EXPECT_TRUE(verification.OnRow(absl::MakeSpan(row)).ok());
  }
  EXPECT_TRUE(verification.done());
  return Ids(verification.TakeTokens());
}

TEST(VerificationTest, NoDraftGivesOneToken) {
  LogitsProcessor processor(Greedy(), kVocabSize, {{0}}, 1);
  EXPECT_THAT(Verify({}, {2}, &processor), ElementsAre(2));
  EXPECT_EQ(processor.length(), 2);
}

TEST(VerificationTest, AllAcceptedGivesTheBonusToken) {
  LogitsProcessor processor(Greedy(), kVocabSize, {{0}}, 1);
  EXPECT_THAT(Verify({1, 2}, {1, 2, 3}, &processor), ElementsAre(1, 2, 3));
  EXPECT_EQ(processor.length(), 4);
}

TEST(VerificationTest, StopsAtTheFirstThatDiffers) {
  LogitsProcessor processor(Greedy(), kVocabSize, {{0}}, 1);
  EXPECT_THAT(Verify({1, 2, 3}, {1, 3, 3, 3}, &processor), ElementsAre(1, 3));
  EXPECT_EQ(processor.length(), 3);
  EXPECT_THAT(Verify({1, 2, 3}, {0, 2, 3, 1}, &processor), ElementsAre(0));
  EXPECT_EQ(processor.length(), 4);
}

TEST(VerificationTest, RowsAfterTheEndAreIgnoredEvenIfCorrupt) {
  LogitsProcessor processor(Greedy(), kVocabSize, {{0}}, 1);
  const std::vector<TokenId> draft = {1};
  Verification verification(&processor, draft);
  std::vector<float> row = RowFor(2);
  EXPECT_TRUE(verification.OnRow(absl::MakeSpan(row)).ok());
  row[0] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(verification.OnRow(absl::MakeSpan(row)).ok());
  EXPECT_THAT(Ids(verification.TakeTokens()), ElementsAre(2));
}

TEST(VerificationTest, PenaltiesOfARowIncludeTheDraftsBeforeIt) {
  GenOptions options = Greedy();
  options.presence_penalty = 2;
  LogitsProcessor processor(options, kVocabSize, {{0}}, 1);
  // Both rows favour token 1 by one; after it was taken it is two lower.
  EXPECT_THAT(Verify({1}, {1, 1}, &processor), ElementsAre(1, 0));
}

TEST(VerificationTest, ErrorsOfARowComeOut) {
  LogitsProcessor processor(Greedy(), kVocabSize, {{0}}, 1);
  const std::vector<TokenId> draft = {1, 2};
  Verification verification(&processor, draft);
  std::vector<float> row = RowFor(1);
  EXPECT_TRUE(verification.OnRow(absl::MakeSpan(row)).ok());
  row[3] = std::numeric_limits<float>::quiet_NaN();
  const absl::Status status = verification.OnRow(absl::MakeSpan(row));
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonNumericCorruption);
  EXPECT_FALSE(verification.done());
}

}  // namespace
}  // namespace tandem
