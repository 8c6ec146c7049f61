// The scores of a sequence's opening tokens.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine/session/sequence_decoder_runs.h"

namespace tandem {
namespace {

using ::testing::IsEmpty;

std::vector<TokenId> RandomTokens(size_t count) {
  std::vector<TokenId> tokens(count);
  for (size_t i = 0; i < count; ++i) {
    tokens[i] = static_cast<TokenId>(3 + (i * i * 7 + i) % 20);
  }
  return tokens;
}

SequenceDecoderOptions ScoreOptions(std::vector<TokenId> tokens,
                                    Position score_from) {
  SequenceDecoderOptions options = MakeOptions(std::move(tokens));
  options.tokens_max = static_cast<Position>(options.tokens.size()) + 20;
  options.score_from = score_from;
  options.score_alternatives = 3;
  return options;
}

// Runs the prefill with pieces of rows_max; what came at each Step.
std::vector<ScoredToken> RunScores(FakeEngine* engine, SequenceDecoder* decoder,
                                   int rows_max) {
  std::vector<ScoredToken> all;
  while (decoder->is_scoring()) {
    EXPECT_TRUE(decoder->has_work());
    EXPECT_FALSE(decoder->next_is_decode());
    EXPECT_LE(decoder->rows_waiting(), 1000);
    EXPECT_TRUE(RunItem(engine, decoder, rows_max).ok());
    const auto scores = decoder->TakeScores();
    EXPECT_TRUE(scores.ok()) << scores.status();
    EXPECT_LE(scores->size(), size_t{kScoredRowsMax});
    all.insert(all.end(), scores->begin(), scores->end());
  }
  return all;
}

TEST(SequenceDecoderScoresTest, AreThoseOfEachRowInPiecesOfAnySize) {
  const std::vector<TokenId> tokens = RandomTokens(200);
  for (const Position from : {1, 2, 63, 64, 65, 150, 199}) {
    for (const int rows_max : {1, 7, 64, 200}) {
      FakeEngine engine({.rows_max = 256});
      const SequenceDecoderOptions options = ScoreOptions(tokens, from);
      const auto decoder = MustOpen(&engine, options);
      EXPECT_EQ(RunScores(&engine, decoder.get(), rows_max),
                PlainScores(options));
      // No row ran twice, and the last token's did not.
      EXPECT_EQ(engine.rows_run(), 199);
      EXPECT_FALSE(decoder->has_work());
      EXPECT_THAT(*decoder->TakeScores(), IsEmpty());
    }
  }
}

TEST(SequenceDecoderScoresTest, UnwantedAndWantedRowsShareAPiece) {
  FakeEngine engine;
  const auto decoder = MustOpen(&engine, ScoreOptions(RandomTokens(30), 20));
  const StepItem item = decoder->NextItem(64);
  EXPECT_EQ(item.tokens.size(), 29u);
  EXPECT_EQ(item.rows, WantedRows::kAll);
  EXPECT_EQ(item.rows_from, 19u);
  decoder->OnStepDone(absl::CancelledError());
}

TEST(SequenceDecoderScoresTest, KeptKvIsUsedUpToTheFirstRow) {
  const std::vector<TokenId> tokens = RandomTokens(60);
  FakeEngine engine({.kept_page_tokens = 8});
  MustOpen(&engine, MakeOptions(tokens));  // nothing is kept of it
  {
    const auto whole = MustOpen(&engine, ScoreOptions(tokens, 59));
    RunScores(&engine, whole.get(), 64);
  }
  for (const Position from : {1, 8, 9, 16, 17, 40, 59}) {
    const SequenceDecoderOptions options = ScoreOptions(tokens, from);
    const auto decoder = MustOpen(&engine, options);
    EXPECT_EQ(decoder->tokens_found(), (from - 1) / 8 * 8);
    EXPECT_EQ(RunScores(&engine, decoder.get(), 64), PlainScores(options));
  }
}

TEST(SequenceDecoderScoresTest, ATurnGoesOnAfterThem) {
  FakeEngine engine;
  const SequenceDecoderOptions options = ScoreOptions(RandomTokens(40), 1);
  const auto decoder = MustOpen(&engine, options);
  RunScores(&engine, decoder.get(), 10);
  const TokenId last = options.tokens.back();
  ASSERT_TRUE(BeginVerify(decoder.get(), 39, {&last, 1}, {3, 4}).ok());
  EXPECT_EQ(*Finish(&engine, decoder.get()),
            PlainVerify({}, options, options.tokens, {3, 4}));
}

TEST(SequenceDecoderScoresTest, AnErrorEndsThemAndComesOnce) {
  for (const bool is_corrupt : {false, true}) {
    FakeEngine engine;
    const auto decoder = MustOpen(&engine, ScoreOptions(RandomTokens(40), 10));
    ASSERT_TRUE(RunItem(&engine, decoder.get(), 20).ok());
    EXPECT_EQ(decoder->TakeScores()->size(), 11u);
    if (is_corrupt) {
      engine.CorruptRowAt(25);
    } else {
      engine.FailAfterRows();
      engine.FailStepAfter(0);
    }
    RunItem(&engine, decoder.get(), 20).IgnoreError();
    EXPECT_FALSE(decoder->is_scoring());
    const absl::Status status = decoder->TakeScores().status();
    EXPECT_EQ(Reason(status), is_corrupt ? kReasonNumericCorruption : "");
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(*decoder->TakeScores(), IsEmpty());
  }
}

TEST(SequenceDecoderScoresDeathTest, NoRequestBeginsMeanwhile) {
  FakeEngine engine;
  const auto decoder = MustOpen(&engine, ScoreOptions(RandomTokens(40), 10));
  EXPECT_DEATH(BeginVerify(decoder.get(), 39, {{3}}, {}).IgnoreError(),
               "is_scoring");
  EXPECT_DEATH(MustOpen(&engine, ScoreOptions(RandomTokens(40), 40)),
               "score_from");
}

}  // namespace
}  // namespace tandem
