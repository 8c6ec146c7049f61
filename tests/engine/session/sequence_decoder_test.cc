#include "engine/session/sequence_decoder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "engine/base/error_reason.h"
#include "tests/engine/session/fake_engine.h"
#include "tests/engine/session/sequence_decoder_runs.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// An engine that takes back 17 tokens at most, as one with windows: whatever a
// request verified or drafted is taken back; tokens from long ago are not.
TEST(SequenceDecoderRollbackTest, CutsOnlyWhatTheEngineCanTakeBack) {
  FakeEngine engine({.rollback_max = kDraftLengthLimit + 1});
  const SequenceDecoderOptions options = MakeOptions();
  const auto decoder = MustOpen(&engine, options);
  std::vector<TokenId> tokens = options.tokens;
  const std::vector<TokenId> wrong(kDraftLengthLimit, kFakeBos);
  for (int round = 0; round < 8; ++round) {
    const Position position = static_cast<Position>(tokens.size()) - 1;
    const absl::Span<const TokenId> last(&tokens.back(), 1);
    // The same request again: its tokens are run again.
    for (int i = 0; i < 2; ++i) {
      ASSERT_TRUE(BeginVerify(decoder.get(), position, last, wrong).ok());
      EXPECT_EQ(*Finish(&engine, decoder.get()),
                PlainVerify({}, options, tokens, wrong));
    }
    ASSERT_TRUE(
        BeginPropose(decoder.get(), position, last, kDraftLengthLimit).ok());
    const std::vector<TokenId> drafted = Ids(*Finish(&engine, decoder.get()));
    tokens.insert(tokens.end(), drafted.begin(), drafted.begin() + 4);
  }
  const Position begin = options.generated_from;
  const TokenId other = tokens[begin] == 3 ? 4 : 3;
  EXPECT_EQ(Reason(BeginVerify(decoder.get(), begin, {&other, 1}, {})),
            kReasonWrongState);
  const std::vector<TokenId> rest(tokens.begin() + begin, tokens.end());
  ASSERT_TRUE(BeginVerify(decoder.get(), begin, rest, {}).ok());
  EXPECT_EQ(*Finish(&engine, decoder.get()), Plain({}, options, tokens, 1));
}

TEST(SequenceDecoderOpenDeathTest, WrongOptionsAreABug) {
  FakeEngine engine;
  const auto open = [&engine](const SequenceDecoderOptions& options) {
    SequenceDecoder::Open(&engine, options).IgnoreError();
  };
  SequenceDecoderOptions options = MakeOptions();
  options.tokens = {};
  EXPECT_DEATH(open(options), "generated_from");
  for (const Position from : {Position{0}, Position{-1}, Position{5}}) {
    options = MakeOptions();
    options.generated_from = from;
    EXPECT_DEATH(open(options), "generated_from");
  }
  options = MakeOptions();
  options.tokens_max = 3;
  EXPECT_DEATH(open(options), "tokens_max");
  options = MakeOptions();
  options.options.seed.reset();
  EXPECT_DEATH(open(options), "seed");
}

TEST(SequenceDecoderOpenTest, TheEngineRefusesATooLongSequence) {
  FakeEngine engine;
  SequenceDecoderOptions options = MakeOptions();
  options.tokens_max = 1001;
  EXPECT_EQ(Reason(SequenceDecoder::Open(&engine, options).status()),
            kReasonContextExceeded);
  EXPECT_EQ(engine.open_sequences(), 0);
}

TEST(SequenceDecoderOpenTest, HoldsOneSequenceForItsLife) {
  FakeEngine engine({.sequences_max = 1});
  {
    const auto decoder = MustOpen(&engine, MakeOptions());
    EXPECT_EQ(engine.open_sequences(), 1);
    EXPECT_EQ(Reason(SequenceDecoder::Open(&engine, MakeOptions()).status()),
              kReasonExhausted);
  }
  EXPECT_EQ(engine.open_sequences(), 0);
}

TEST(SequenceDecoderTest, PrefillLeavesTheLastTokenToTheFirstRequest) {
  FakeEngine engine;
  const auto decoder = MustOpen(&engine, MakeOptions({1, 3, 4, 5, 6, 7, 8}));
  EXPECT_TRUE(decoder->has_work());
  EXPECT_FALSE(decoder->request_active());
  EXPECT_FALSE(decoder->next_is_decode());
  StepItem item = decoder->NextItem(4);
  EXPECT_EQ(item.position, 0);
  EXPECT_THAT(item.tokens, ElementsAre(1, 3, 4, 5));
  EXPECT_EQ(item.rows, WantedRows::kNone);
  Rows rows({decoder.get()});
  const absl::Status status = engine.Step({&item, 1}, &rows);
  decoder->OnStepDone(status);
  item = decoder->NextItem(4);
  EXPECT_EQ(item.position, 4);
  EXPECT_THAT(item.tokens, ElementsAre(6, 7));
  EXPECT_EQ(item.rows, WantedRows::kNone);
  decoder->OnStepDone(engine.Step({&item, 1}, &rows));
  EXPECT_FALSE(decoder->has_work());

  ASSERT_TRUE(BeginVerify(decoder.get(), 6, {{8}}, {{3, 3}}).ok());
  EXPECT_TRUE(decoder->has_work());
  EXPECT_TRUE(decoder->next_is_decode());
  item = decoder->NextItem(4);
  EXPECT_EQ(item.position, 6);
  EXPECT_THAT(item.tokens, ElementsAre(8, 3, 3));
  EXPECT_EQ(item.rows, WantedRows::kAll);
  decoder->OnStepDone(engine.Step({&item, 1}, &rows));
  EXPECT_TRUE(decoder->TakeResult().has_value());
  EXPECT_FALSE(decoder->TakeResult().has_value());
}

TEST(SequenceDecoderTest, TellsTheRowsOfItsNextItem) {
  FakeEngine engine;
  const std::unique_ptr<SequenceDecoder> decoder =
      MustOpen(&engine, MakeOptions({1, 3, 4, 5, 6, 7, 8, 9}));
  const auto run = [&](int rows_max) {
    const int waiting = decoder->rows_waiting();
    const int64_t before = engine.rows_run();
    ASSERT_TRUE(RunItem(&engine, decoder.get(), rows_max).ok());
    EXPECT_EQ(engine.rows_run() - before, std::min(waiting, rows_max));
  };
  EXPECT_EQ(decoder->rows_waiting(), 7);
  run(3);
  EXPECT_EQ(decoder->rows_waiting(), 4);
  // The prompt's rest, then the rows that are wanted.
  ASSERT_TRUE(BeginVerify(decoder.get(), 7, {9}, {10, 11}).ok());
  EXPECT_EQ(decoder->rows_waiting(), 4);
  run(64);
  EXPECT_EQ(decoder->rows_waiting(), 3);
  run(64);
  EXPECT_FALSE(decoder->has_work());
}

TEST(SequenceDecoderTest, OneOpeningTokenNeedsNoPrefill) {
  FakeEngine engine;
  const auto decoder = MustOpen(&engine, MakeOptions({1}));
  EXPECT_FALSE(decoder->has_work());
}

TEST(SequenceDecoderTest, AnItemNeverMixesUnwantedAndSeveralWantedRows) {
  FakeEngine engine;
  std::vector<TokenId> opening(40, 3);
  for (const int draft_length : {0, 1, 3}) {
    const auto decoder = MustOpen(&engine, MakeOptions(opening));
    const std::vector<TokenId> draft(draft_length, 4);
    ASSERT_TRUE(BeginVerify(decoder.get(), 39, {{3}}, draft).ok());
    EXPECT_FALSE(decoder->next_is_decode());
    const StepItem item = decoder->NextItem(64);
    if (draft_length == 0) {  // the last alone is wanted
      EXPECT_EQ(item.tokens.size(), 40u);
      EXPECT_EQ(item.rows, WantedRows::kLast);
    } else {
      EXPECT_EQ(item.tokens.size(), 39u);
      EXPECT_EQ(item.rows, WantedRows::kNone);
    }
    decoder->OnStepDone(absl::CancelledError());
    EXPECT_FALSE(decoder->TakeResult()->ok());
  }
}

TEST(SequenceDecoderTest, ProposeRunsOneTokenAStepAndNotItsLast) {
  const FakeEngineOptions engine_options;
  FakeEngine engine(engine_options);
  const SequenceDecoderOptions options = MakeOptions();
  const auto decoder = MustOpen(&engine, options);
  ASSERT_TRUE(BeginPropose(decoder.get(), 3, {{5}}, 4).ok());
  const std::vector<SampledToken> plain =
      Plain(engine_options.model, options, options.tokens, 4);
  const absl::StatusOr<DecodedTokens> result = Finish(&engine, decoder.get());
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(*result, plain);
  EXPECT_EQ(engine.steps(), 4);
  EXPECT_EQ(engine.rows_run(), 4 + 3);
  EXPECT_FALSE(decoder->has_work());

  // All four accepted and one more: the fourth and the new one are run.
  ASSERT_TRUE(BeginPropose(decoder.get(), 7, {{plain[3].id, 6}}, 1).ok());
  EXPECT_TRUE(decoder->next_is_decode());
  const StepItem item = decoder->NextItem(64);
  EXPECT_EQ(item.position, 7);
  EXPECT_EQ(item.tokens.size(), 2u);
  EXPECT_EQ(item.rows, WantedRows::kLast);
  decoder->OnStepDone(absl::OkStatus());
}

TEST(SequenceDecoderTest, ProposeEndsAtAStopToken) {
  const FakeEngineOptions engine_options;
  FakeEngine engine(engine_options);
  SequenceDecoderOptions options = MakeOptions();
  const std::vector<SampledToken> plain =
      Plain(engine_options.model, options, options.tokens, 8);
  options.options.stop_token_ids = {plain[2].id};
  const auto decoder = MustOpen(&engine, options);
  ASSERT_TRUE(BeginPropose(decoder.get(), 3, {{5}}, 8).ok());
  const absl::StatusOr<DecodedTokens> result = Finish(&engine, decoder.get());
  ASSERT_LE(result->size(), 3u);
  EXPECT_EQ(result->back().id, plain[2].id);
}

TEST(SequenceDecoderTest, RepeatedTokensAreNotRunAgain) {
  FakeEngine engine;
  const auto decoder = MustOpen(&engine, MakeOptions());
  ASSERT_TRUE(BeginVerify(decoder.get(), 3, {{5}}, {}).ok());
  const TokenId first = Finish(&engine, decoder.get())->at(0).id;
  ASSERT_TRUE(BeginVerify(decoder.get(), 4, {{first}}, {}).ok());
  const TokenId second = Finish(&engine, decoder.get())->at(0).id;
  const int64_t rows = engine.rows_run();
  ASSERT_TRUE(BeginVerify(decoder.get(), 3, {{5, first, second}}, {}).ok());
  Finish(&engine, decoder.get()).IgnoreError();
  EXPECT_EQ(engine.rows_run(), rows + 1);
}

TEST(SequenceDecoderTest, DropsDraftsThatCanNotBe) {
  const FakeEngineOptions engine_options;
  FakeEngine engine(engine_options);
  SequenceDecoderOptions options = MakeOptions();
  std::vector<TokenId> right;
  for (const SampledToken& token :
       Plain(engine_options.model, options, options.tokens, 40)) {
    right.push_back(token.id);
  }
  const auto verified = [&](Position tokens_max, std::vector<TokenId> draft) {
    options.tokens_max = tokens_max;
    const auto decoder = MustOpen(&engine, options);
    EXPECT_TRUE(BeginVerify(decoder.get(), 3, {{5}}, draft).ok());
    const std::vector<TokenId> ids = Ids(*Finish(&engine, decoder.get()));
    EXPECT_EQ(ids,
              std::vector<TokenId>(right.begin(), right.begin() + ids.size()));
    return ids.size();
  };
  EXPECT_EQ(verified(100, right), kDraftLengthLimit + 1u);
  std::vector<TokenId> bad = right;
  bad[5] = kFakeVocabSize;
  EXPECT_EQ(verified(100, bad), 6u);
  bad[2] = -1;
  EXPECT_EQ(verified(100, bad), 3u);
  EXPECT_EQ(verified(6, right), 3u);  // four opening tokens and two drafts
  EXPECT_EQ(verified(4, right), 1u);

  options.tokens_max = 6;
  auto decoder = MustOpen(&engine, options);
  ASSERT_TRUE(BeginPropose(decoder.get(), 3, {{5}}, 8).ok());
  EXPECT_EQ(Finish(&engine, decoder.get())->size(), 2u);
  options.tokens_max = 4;
  decoder = MustOpen(&engine, options);
  ASSERT_TRUE(BeginPropose(decoder.get(), 3, {{5}}, 8).ok());
  EXPECT_THAT(*Finish(&engine, decoder.get()), IsEmpty());
}

TEST(SequenceDecoderTest, RejectedRequestsLeaveItUnchanged) {
  const FakeEngineOptions engine_options;
  FakeEngine engine(engine_options);
  const SequenceDecoderOptions options = MakeOptions();
  const auto decoder = MustOpen(&engine, options);
  ASSERT_TRUE(BeginVerify(decoder.get(), 3, {{5}}, {}).ok());
  Finish(&engine, decoder.get()).IgnoreError();  // five tokens are known now
  struct Case {
    Position position;
    std::vector<TokenId> tokens;
  };
  const std::vector<Case> cases = {
      {6, {3}},  // above the known tokens
      {2, {4}},  // below the prompt's last token
      {-1, {4}},
      {INT64_MAX, {4}},
  };
  const auto check = [&](absl::string_view when) {
    for (const Case& c : cases) {
      EXPECT_EQ(Reason(BeginVerify(decoder.get(), c.position, c.tokens, {{3}})),
                kReasonWrongState)
          << when;
      EXPECT_EQ(Reason(BeginPropose(decoder.get(), c.position, c.tokens, 2)),
                kReasonWrongState)
          << when;
    }
  };
  check("idle");
  EXPECT_FALSE(decoder->has_work());
  EXPECT_FALSE(decoder->request_active());
  ASSERT_TRUE(BeginVerify(decoder.get(), 4, {{6}}, {{7}}).ok());
  std::vector<TokenId> tokens = options.tokens;
  tokens.push_back(6);
  EXPECT_EQ(*Finish(&engine, decoder.get()),
            PlainVerify(engine_options.model, options, tokens, {7}));
}

TEST(SequenceDecoderDeathTest, WhatTheEdgesCheckIsABugHere) {
  FakeEngine engine;
  const auto decoder = MustOpen(&engine, MakeOptions());
  const auto verify = [&decoder](const std::vector<TokenId>& tokens) {
    BeginVerify(decoder.get(), 3, tokens, {}).IgnoreError();
  };
  EXPECT_DEATH(verify({}), "tokens.empty");
  EXPECT_DEATH(verify(std::vector<TokenId>(98, 3)), "tokens_max");
  for (const int length : {0, -1, kDraftLengthLimit + 1, INT32_MIN}) {
    EXPECT_DEATH(BeginPropose(decoder.get(), 3, {{3}}, length).IgnoreError(),
                 "draft_length");
  }
  verify({5});
  EXPECT_DEATH(verify({5}), "request_active");
}

TEST(SequenceDecoderTest, AFailedStepFailsTheRequestWhichMayBeAskedAgain) {
  for (const bool after_rows : {false, true}) {
    for (int failing = 0; failing < 4; ++failing) {
      const FakeEngineOptions engine_options;
      FakeEngine engine(engine_options);
      if (after_rows) engine.FailAfterRows();
      const SequenceDecoderOptions options = MakeOptions();
      const auto decoder = MustOpen(&engine, options);
      const std::vector<SampledToken> plain =
          Plain(engine_options.model, options, options.tokens, 4);
      // Drafts are made a Step each: the failure may come inside.
      ASSERT_TRUE(BeginPropose(decoder.get(), 3, {{5}}, 4).ok());
      engine.FailStepAfter(failing);
      EXPECT_EQ(Finish(&engine, decoder.get()).status().code(),
                absl::StatusCode::kUnavailable);
      EXPECT_FALSE(decoder->has_work());
      ASSERT_TRUE(BeginPropose(decoder.get(), 3, {{5}}, 4).ok());
      EXPECT_EQ(*Finish(&engine, decoder.get()), plain);

      ASSERT_TRUE(
          BeginVerify(decoder.get(), 3, {{5}}, {{plain[0].id, 3}}).ok());
      engine.FailStepAfter(failing % 2);
      EXPECT_EQ(
          Finish(&engine, decoder.get(), failing < 2 ? 64 : 1).status().code(),
          failing % 2 == 1 && failing < 2 ? absl::StatusCode::kOk
                                          : absl::StatusCode::kUnavailable);
      engine.FailStepAfter(-1);
      ASSERT_TRUE(
          BeginVerify(decoder.get(), 3, {{5}}, {{plain[0].id, 3}}).ok());
      EXPECT_EQ(*Finish(&engine, decoder.get()),
                PlainVerify(engine_options.model, options, options.tokens,
                            {plain[0].id, 3}));
    }
  }
}

TEST(SequenceDecoderTest, FailedPrefillRestsUntilTheNextRequest) {
  FakeEngine engine;
  const auto decoder = MustOpen(&engine, MakeOptions());
  engine.FailStepAfter(0);
  EXPECT_FALSE(RunItem(&engine, decoder.get(), 2).ok());
  EXPECT_FALSE(decoder->has_work());
  ASSERT_TRUE(BeginVerify(decoder.get(), 3, {{5}}, {}).ok());
  EXPECT_TRUE(Finish(&engine, decoder.get(), 2).ok());
}

TEST(SequenceDecoderTest, CorruptLogitsFailTheRequest) {
  FakeEngine engine;
  const auto decoder = MustOpen(&engine, MakeOptions());
  engine.CorruptRowAt(4);
  ASSERT_TRUE(BeginVerify(decoder.get(), 3, {{5}}, {{3}}).ok());
  EXPECT_EQ(Reason(Finish(&engine, decoder.get()).status()),
            kReasonNumericCorruption);
  ASSERT_TRUE(BeginPropose(decoder.get(), 3, {{5}}, 2).ok());
  EXPECT_EQ(Reason(Finish(&engine, decoder.get()).status()),
            kReasonNumericCorruption);
  engine.CorruptRowAt(-1);
  ASSERT_TRUE(BeginVerify(decoder.get(), 3, {{5}}, {{3}}).ok());
  EXPECT_TRUE(Finish(&engine, decoder.get()).ok());
}

TEST(SequenceDecoderTest, AllBannedFailsTheRequest) {
  FakeEngine engine;
  SequenceDecoderOptions options = MakeOptions();
  for (TokenId id = 0; id < kFakeVocabSize; ++id) {
    options.options.logit_bias.push_back(
        {.id = id, .bias = -std::numeric_limits<float>::infinity()});
  }
  const auto decoder = MustOpen(&engine, options);
  ASSERT_TRUE(BeginVerify(decoder.get(), 3, {{5}}, {}).ok());
  EXPECT_EQ(Reason(Finish(&engine, decoder.get()).status()), kReasonNoToken);
}

TEST(SequenceDecoderTest, LogprobsComeWithVerifiedTokens) {
  const FakeEngineOptions engine_options;
  FakeEngine engine(engine_options);
  SequenceDecoderOptions options = MakeOptions();
  options.options.logprobs = 2;
  const auto decoder = MustOpen(&engine, options);
  ASSERT_TRUE(BeginVerify(decoder.get(), 3, {{5}}, {}).ok());
  const DecodedTokens result = *Finish(&engine, decoder.get());
  EXPECT_EQ(result, Plain(engine_options.model, options, options.tokens, 1));
  EXPECT_EQ(result[0].alternatives.size(), 2u);
}

// Many decoders share each Step, as in a worker: each gets what it gets alone.
TEST(SequenceDecoderTest, SharedStepsChangeNothing) {
  std::mt19937_64 random(6);
  const FakeEngineOptions engine_options = {.rows_max = 24};
  FakeEngine engine(engine_options);
  std::vector<std::unique_ptr<SequenceDecoder>> decoders;
  std::vector<std::vector<SampledToken>> expected;
  for (int i = 0; i < 8; ++i) {
    std::vector<TokenId> opening(1 + random() % 20);
    for (TokenId& id : opening) id = 3 + random() % 10;
    const SequenceDecoderOptions options = MakeOptions(opening);
    decoders.push_back(MustOpen(&engine, options));
    expected.push_back(Plain(engine_options.model, options, opening, 5));
    const Position last = static_cast<Position>(opening.size()) - 1;
    if (i % 2 == 0) {
      ASSERT_TRUE(
          BeginPropose(decoders.back().get(), last, {{opening.back()}}, 5)
              .ok());
    } else {
      std::vector<TokenId> draft = Ids(expected.back());
      draft.pop_back();
      ASSERT_TRUE(
          BeginVerify(decoders.back().get(), last, {{opening.back()}}, draft)
              .ok());
    }
  }
  size_t finished = 0;
  while (finished < decoders.size()) {
    Rows rows;
    std::vector<StepItem> batch;
    for (const auto& decoder : decoders) {
      if (!decoder->has_work() || random() % 3 == 0) continue;
      batch.push_back(decoder->NextItem(3));
      rows.decoders.push_back(decoder.get());
    }
    if (batch.empty()) continue;
    const absl::Status status = engine.Step(batch, &rows);
    ASSERT_TRUE(status.ok()) << status;
    for (SequenceDecoder* decoder : rows.decoders) decoder->OnStepDone(status);
    for (size_t i = 0; i < decoders.size(); ++i) {
      const auto result = decoders[i]->TakeResult();
      if (!result.has_value()) continue;
      EXPECT_EQ(**result, expected[i]);
      ++finished;
    }
  }
}

}  // namespace
}  // namespace tandem
