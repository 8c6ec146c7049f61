#include "engine/session/inference_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <random>

#include "engine/base/error_reason.h"
#include "tests/engine/session/fake_engine.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string Reason(const absl::Status& status) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  return detail.has_value() ? detail->reason : "";
}

std::unique_ptr<InferenceSession> MustCreate(Engine* target, Engine* draft) {
  absl::StatusOr<std::unique_ptr<InferenceSession>> session =
      InferenceSession::Create(target, draft);
  EXPECT_TRUE(session.ok()) << session.status();
  return *std::move(session);
}

// Takes up to `count` tokens.
std::vector<SampledToken> TakeTokens(InferenceSession* session,
                                     size_t count = SIZE_MAX) {
  std::vector<SampledToken> tokens;
  while (tokens.size() < count) {
    const absl::StatusOr<std::optional<SampledToken>> token =
        session->NextToken();
    EXPECT_TRUE(token.ok()) << token.status();
    if (!token.ok() || !token->has_value()) break;
    tokens.push_back(**token);
  }
  return tokens;
}

FakeEngineOptions DraftOptions(double noise = 0.2) {
  FakeEngineOptions options;
  options.model.noise = noise;
  return options;
}

// The options that every draft length must agree on.
std::vector<GenOptions> OptionSets() {
  GenOptions greedy;
  greedy.temperature = 0;
  GenOptions warm;
  warm.temperature = 0.8f;
  GenOptions defaults;
  std::vector<GenOptions> sets = {greedy, warm, defaults};
  for (GenOptions& options : sets) {
    options.seed = 3;
    options.max_tokens = 60;
  }
  sets.push_back(warm);
  sets.back().seed = 3;
  sets.back().choice = 5;
  sets.push_back(defaults);
  sets.back().seed = 4;
  sets.back().stop_strings = {"abab", "\u00e9"};
  sets.back().logprobs = 2;
  return sets;
}

TEST(InferenceSessionTest, EveryDraftLengthGivesTheReference) {
  for (GenOptions options : OptionSets()) {
    const TurnSpec spec = {
        .prompt = {kFakeBos, 3, 4, 5}, .options = options, .context_max = 1000};
    const ReferenceTurn reference = GenerateReference({}, spec);
    for (const int draft_length : {0, 1, 4, 8, 16}) {
      for (const double noise : {0.0, 0.2, 1.0}) {
        FakeEngine target;
        FakeEngine draft(DraftOptions(noise));
        const auto session = MustCreate(&target, &draft);
        options.draft_length = draft_length;
        ASSERT_TRUE(session->StartTurn("abc", options).ok());
        EXPECT_EQ(TakeTokens(session.get()), reference.tokens);
        EXPECT_EQ(session->text(), reference.text);
        EXPECT_EQ(session->finish_reason(), reference.reason);
        EXPECT_EQ(session->state(), SessionState::kComplete);
        EXPECT_EQ(session->usage().prompt_tokens, 4);
        EXPECT_EQ(session->usage().generated_tokens,
                  static_cast<int64_t>(reference.tokens.size()));
        EXPECT_EQ(session->speculation().drafted > 0, draft_length > 0);
        if (noise == 0 && draft_length > 0) {
          EXPECT_GT(session->speculation().accepted, 0);
        }
        // No KV is held when the turn is over.
        EXPECT_EQ(target.open_sequences(), 0);
        EXPECT_EQ(draft.open_sequences(), 0);
      }
    }
  }
}

// Times decide what is drafted, and they differ from run to run; the text does
// not.
TEST(InferenceSessionTest, SourcesAndAutomaticLengthsGiveTheReference) {
  int64_t looked_up = 0;
  for (GenOptions options : OptionSets()) {
    const TurnSpec spec = {
        .prompt = {kFakeBos, 3, 4, 5}, .options = options, .context_max = 1000};
    const ReferenceTurn reference = GenerateReference({}, spec);
    for (const int round : {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}) {
      const bool has_draft = round % 2 == 0;
      options.draft_sources = static_cast<DraftSources>(round / 4);
      options.draft_length.reset();
      if (round % 4 < 2) options.draft_length = 4;
      FakeEngine target;
      FakeEngine draft(DraftOptions());
      const auto session = MustCreate(&target, has_draft ? &draft : nullptr);
      ASSERT_TRUE(session->StartTurn("abc", options).ok());
      EXPECT_EQ(draft.open_sequences() > 0,
                has_draft && options.draft_sources != DraftSources::kLookup);
      EXPECT_EQ(TakeTokens(session.get()), reference.tokens);
      EXPECT_EQ(session->text(), reference.text);
      EXPECT_EQ(session->finish_reason(), reference.reason);
      const SpeculationCounts counts = session->speculation();
      looked_up += counts.lookup.drafted;
      if (options.draft_sources == DraftSources::kModel) {
        EXPECT_EQ(counts.lookup.drafted, 0);
      }
      if (options.draft_sources == DraftSources::kLookup || !has_draft) {
        EXPECT_EQ(counts.drafted, counts.lookup.drafted);
      }
    }
  }
  EXPECT_GT(looked_up, 0);
}

TEST(InferenceSessionTest, LookupTakesARepeatedTextInFewRounds) {
  // The target says 3 and nothing else.
  GenOptions options;
  options.temperature = 0;
  options.repetition_penalty = 1;
  options.seed = 1;
  options.max_tokens = 100;
  options.ignore_eos = true;
  options.logit_bias = {{.id = 3, .bias = 900}};
  options.draft_sources = DraftSources::kLookup;
  options.draft_length = 4;
  FakeEngine target;
  const auto session = MustCreate(&target, nullptr);
  ASSERT_TRUE(session->StartTurn("ab", options).ok());
  TakeTokens(session.get());
  const SpeculationCounts counts = session->speculation();
  EXPECT_EQ(session->usage().generated_tokens, 100);
  EXPECT_GT(counts.lookup.accepted, 70);
  EXPECT_LT(counts.rounds, 30);
}

TEST(InferenceSessionTest, StatesAndBuffer) {
  FakeEngine target;
  FakeEngine draft;  // equal: everything is accepted
  const auto session = MustCreate(&target, &draft);
  EXPECT_EQ(session->state(), SessionState::kReady);
  EXPECT_EQ(session->text(), "");
  EXPECT_EQ(session->seed(), 0u);
  EXPECT_THAT(session->tokens(), IsEmpty());
  EXPECT_EQ(session->finish_reason(), std::nullopt);
  EXPECT_EQ(*session->NextToken(), std::nullopt);

  GenOptions options;
  options.seed = 3;
  options.max_tokens = 5;
  options.draft_length = 4;
  options.ignore_eos = true;
  ASSERT_TRUE(session->StartTurn("ab", options).ok());
  EXPECT_EQ(session->state(), SessionState::kGenerating);
  // One round brings all five tokens; the turn goes on for the caller until
  // the last is handed out.
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(session->state(), SessionState::kGenerating);
    EXPECT_EQ(session->finish_reason(), std::nullopt);
    EXPECT_TRUE(session->NextToken()->has_value());
    EXPECT_EQ(session->speculation().rounds, 1);
  }
  EXPECT_EQ(session->state(), SessionState::kComplete);
  EXPECT_EQ(session->finish_reason(), FinishReason::kLength);
  EXPECT_EQ(*session->NextToken(), std::nullopt);
  EXPECT_EQ(session->seed(), 3u);
  EXPECT_EQ(session->tokens().size(), 3u + 5u);
  session->Cancel();  // nothing to cancel
  EXPECT_EQ(session->state(), SessionState::kComplete);
}

TEST(InferenceSessionTest, WhatIsBufferedCanBeReadWithoutComputing) {
  FakeEngine target;
  FakeEngine draft;  // equal: everything is accepted
  const auto session = MustCreate(&target, &draft);
  EXPECT_THAT(session->buffered(), IsEmpty());
  EXPECT_THAT(session->prompt_tokens(), IsEmpty());
  EXPECT_THAT(session->generated_tokens(), IsEmpty());
  GenOptions options;
  options.seed = 3;
  options.max_tokens = 5;
  options.draft_length = 4;
  options.ignore_eos = true;
  ASSERT_TRUE(session->StartTurn("ab", options).ok());
  EXPECT_THAT(session->prompt_tokens(), ElementsAre(kFakeBos, 3, 4));
  const SampledToken first = **session->NextToken();
  const int64_t rows = target.rows_run();
  const std::vector<SampledToken> buffered(session->buffered().begin(),
                                           session->buffered().end());
  ASSERT_EQ(buffered.size(), 4u);
  EXPECT_THAT(session->generated_tokens(),
              ElementsAre(first.id, buffered[0].id, buffered[1].id,
                          buffered[2].id, buffered[3].id));
  EXPECT_FALSE(session->is_complete());
  EXPECT_EQ(TakeTokens(session.get()), buffered);
  EXPECT_EQ(target.rows_run(), rows);
  EXPECT_THAT(session->buffered(), IsEmpty());
  EXPECT_TRUE(session->is_complete());
}

TEST(InferenceSessionTest, AnInterruptEndsTheTurnBeforeTheNextPass) {
  for (const bool has_draft : {false, true}) {
    FakeEngine target;
    FakeEngine draft;
    const auto session = MustCreate(&target, has_draft ? &draft : nullptr);
    GenOptions options;
    options.seed = 3;
    options.draft_length = has_draft ? 4 : 0;
    options.ignore_eos = true;
    ASSERT_TRUE(session->StartTurn("ab", options).ok());
    TakeTokens(session.get(), 1);
    const int64_t rows = target.rows_run() + draft.rows_run();
    session->Interrupt();
    EXPECT_EQ(session->state(), SessionState::kGenerating);
    EXPECT_EQ(TakeTokens(session.get()).size(), has_draft ? 4u : 0u);
    EXPECT_EQ(target.rows_run() + draft.rows_run(), rows);
    EXPECT_EQ(session->state(), SessionState::kStopped);
    EXPECT_EQ(session->finish_reason(), FinishReason::kCancelled);
    EXPECT_EQ(target.open_sequences(), 0);
    EXPECT_EQ(draft.open_sequences(), 0);
    // It is used up by one turn; between turns it is for the next one.
    ASSERT_TRUE(session->StartTurn("a", options).ok());
    TakeTokens(session.get(), 1);
    EXPECT_EQ(session->state(), SessionState::kGenerating);
    session->Cancel();
    session->Interrupt();
    ASSERT_TRUE(session->StartTurn("a", options).ok());
    EXPECT_THAT(TakeTokens(session.get()), IsEmpty());
    EXPECT_EQ(session->state(), SessionState::kStopped);
  }
}

TEST(InferenceSessionTest, ADeadlineEndsTurnsBeforeTheNextPass) {
  for (const bool has_draft : {false, true}) {
    FakeEngine target;
    FakeEngine draft;
    const auto session = MustCreate(&target, has_draft ? &draft : nullptr);
    GenOptions options;
    options.seed = 3;
    options.draft_length = has_draft ? 4 : 0;
    options.ignore_eos = true;
    const auto now = std::chrono::steady_clock::now();
    session->SetDeadline(now + std::chrono::hours(1));
    ASSERT_TRUE(session->StartTurn("ab", options).ok());
    TakeTokens(session.get(), 1);
    const int64_t rows = target.rows_run() + draft.rows_run();
    session->SetDeadline(now);
    EXPECT_EQ(session->state(), SessionState::kGenerating);
    EXPECT_EQ(TakeTokens(session.get()).size(), has_draft ? 4u : 0u);
    EXPECT_EQ(target.rows_run() + draft.rows_run(), rows);
    EXPECT_EQ(session->state(), SessionState::kStopped);
    EXPECT_EQ(session->finish_reason(), FinishReason::kDeadline);
    EXPECT_EQ(target.open_sequences(), 0);
    EXPECT_EQ(draft.open_sequences(), 0);
    // It is for later turns too.
    ASSERT_TRUE(session->StartTurn("a", options).ok());
    EXPECT_THAT(TakeTokens(session.get()), IsEmpty());
    EXPECT_EQ(session->finish_reason(), FinishReason::kDeadline);
    session->SetDeadline(std::nullopt);
    ASSERT_TRUE(session->StartTurn("a", options).ok());
    TakeTokens(session.get(), 1);
    EXPECT_EQ(session->state(), SessionState::kGenerating);
  }
}

TEST(InferenceSessionTest, CancelKeepsWhatIsBuffered) {
  FakeEngine target;
  FakeEngine draft;
  const auto session = MustCreate(&target, &draft);
  GenOptions options;
  options.seed = 3;
  options.draft_length = 4;
  options.ignore_eos = true;
  ASSERT_TRUE(session->StartTurn("ab", options).ok());
  const std::vector<SampledToken> first = TakeTokens(session.get(), 1);
  session->Cancel();
  EXPECT_EQ(session->state(), SessionState::kStopped);
  EXPECT_EQ(session->finish_reason(), FinishReason::kCancelled);
  EXPECT_EQ(target.open_sequences(), 0);
  const std::vector<SampledToken> buffered = TakeTokens(session.get());
  EXPECT_EQ(buffered.size(), 4u);
  EXPECT_EQ(session->state(), SessionState::kStopped);
  EXPECT_EQ(session->usage().generated_tokens, 5);
  EXPECT_EQ(session->tokens().size(), 3u + 5u);

  // A turn that is over but not yet handed out stays what it is.
  options.max_tokens = 3;
  ASSERT_TRUE(session->StartTurn("ab", options).ok());
  TakeTokens(session.get(), 1);
  session->Cancel();
  EXPECT_EQ(session->state(), SessionState::kComplete);
  EXPECT_EQ(session->finish_reason(), FinishReason::kLength);
  EXPECT_EQ(TakeTokens(session.get()).size(), 2u);
}

// Two turns and a cancelled one between: each begins with all tokens so far,
// and is what a new session with that history gives.
TEST(InferenceSessionTest, TurnsGoOnFromTheHistory) {
  for (const int draft_length : {0, 1, 4, 8}) {
    for (GenOptions options : OptionSets()) {
      options.draft_length = draft_length;
      FakeEngine target;
      FakeEngine draft(DraftOptions());
      const auto session = MustCreate(&target, &draft);
      std::vector<TokenId> history;
      for (int turn = 0; turn < 3; ++turn) {
        std::vector<TokenId> prompt = {3, 4};
        if (turn == 0) prompt.insert(prompt.begin(), kFakeBos);
        ASSERT_TRUE(session->StartTurn("ab", options).ok());
        TurnSpec spec = {
            .prompt = history, .options = options, .context_max = 1000};
        spec.prompt.insert(spec.prompt.end(), prompt.begin(), prompt.end());
        const ReferenceTurn reference = GenerateReference({}, spec);
        if (turn == 1) {
          TakeTokens(session.get(), 7);
          session->Cancel();
        } else {
          EXPECT_EQ(TakeTokens(session.get()), reference.tokens);
          EXPECT_EQ(session->text(), reference.text);
        }
        EXPECT_EQ(session->usage().prompt_tokens,
                  static_cast<int64_t>(spec.prompt.size()));
        history = session->tokens();
        ASSERT_GE(history.size(), spec.prompt.size());
        EXPECT_TRUE(std::equal(spec.prompt.begin(), spec.prompt.end(),
                               history.begin()));
        const std::vector<TokenId> ids = reference.ids();
        const size_t generated = history.size() - spec.prompt.size();
        ASSERT_LE(generated, ids.size());
        EXPECT_TRUE(std::equal(history.begin() + spec.prompt.size(),
                               history.end(), ids.begin()));
      }
    }
  }
}

// A turn runs what its engine has not kept, and its last token in any case.
TEST(InferenceSessionTest, ATurnRunsOnlyWhatIsNotKept) {
  for (GenOptions options : OptionSets()) {
    options.draft_length = 0;
    FakeEngine target({.kept_page_tokens = 4});
    const auto session = MustCreate(&target, nullptr);
    std::vector<TokenId> history;
    for (int turn = 0; turn < 3; ++turn) {
      TurnSpec spec = {
          .prompt = history, .options = options, .context_max = 1000};
      const std::vector<TokenId> prompt = {3, 4, 5};
      spec.prompt.insert(spec.prompt.end(), prompt.begin(), prompt.end());
      ASSERT_TRUE(session->StartTurn(prompt, options).ok());
      const int64_t before = target.rows_run();
      const std::vector<SampledToken> tokens = TakeTokens(session.get());
      EXPECT_EQ(tokens, GenerateReference({}, spec).tokens);
      const int64_t size = static_cast<int64_t>(spec.prompt.size());
      const int64_t kept = (std::max<int64_t>(size - 3, 1) - 1) / 4 * 4;
      EXPECT_EQ(session->usage().cached_prompt_tokens, kept);
      EXPECT_EQ(target.rows_run() - before,
                size - kept + static_cast<int64_t>(tokens.size()) - 1);
      history = session->tokens();
    }
  }
}

TEST(InferenceSessionTest, StartingATurnCancelsTheOneUnderWay) {
  FakeEngine target;
  const auto session = MustCreate(&target, nullptr);
  GenOptions options;
  options.seed = 1;
  options.ignore_eos = true;
  ASSERT_TRUE(session->StartTurn({{kFakeBos, 3}}, options).ok());
  TakeTokens(session.get(), 2);
  const std::vector<TokenId> before = session->tokens();
  ASSERT_TRUE(session->StartTurn({{4}}, options).ok());
  EXPECT_EQ(session->state(), SessionState::kGenerating);
  EXPECT_EQ(session->usage().prompt_tokens,
            static_cast<int64_t>(before.size()) + 1);
  EXPECT_EQ(target.open_sequences(), 1);
}

TEST(InferenceSessionTest, RefusedTurnsLeaveTheSessionAsItWas) {
  FakeEngineOptions engine_options;
  engine_options.context_max = 40;
  engine_options.sequences_max = 2;
  FakeEngine target(engine_options);
  const auto session = MustCreate(&target, nullptr);
  GenOptions options;
  options.seed = 1;
  options.ignore_eos = true;
  ASSERT_TRUE(session->StartTurn("ab", options).ok());
  const std::vector<SampledToken> first = TakeTokens(session.get(), 1);
  const std::vector<TokenId> tokens = session->tokens();

  GenOptions bad = options;
  bad.temperature = -1;
  EXPECT_EQ(Reason(session->StartTurn("ab", bad)), kReasonInvalidOptions);
  EXPECT_EQ(Reason(session->StartTurn("a\xff", options)), kReasonInvalidText);
  EXPECT_EQ(Reason(session->StartTurn("", options)), kReasonEmptyPrompt);
  EXPECT_EQ(Reason(session->StartTurn(absl::Span<const TokenId>(), options)),
            kReasonEmptyPrompt);
  EXPECT_EQ(Reason(session->StartTurn({{3, -1}}, options)),
            kReasonInvalidToken);
  EXPECT_EQ(Reason(session->StartTurn({{3, kFakeVocabSize}}, options)),
            kReasonInvalidToken);
  EXPECT_EQ(Reason(session->StartTurn(std::string(40, 'a'), options)),
            kReasonContextExceeded);
  {
    const auto other = MustCreate(&target, nullptr);
    ASSERT_TRUE(other->StartTurn("a", options).ok());
    const absl::Status status = session->StartTurn("a", options);
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(Reason(status), kReasonExhausted);
  }
  EXPECT_EQ(session->state(), SessionState::kGenerating);
  EXPECT_EQ(session->tokens(), tokens);
  // It goes on to where the context is full.
  std::vector<SampledToken> all = first;
  for (SampledToken& token : TakeTokens(session.get())) {
    all.push_back(std::move(token));
  }
  const ReferenceTurn reference = GenerateReference(
      {}, {.prompt = {kFakeBos, 3, 4}, .options = options, .context_max = 40});
  EXPECT_EQ(all, reference.tokens);
  EXPECT_EQ(session->finish_reason(), FinishReason::kContext);
  EXPECT_EQ(session->tokens().size(), 40u);
  EXPECT_EQ(Reason(session->StartTurn("a", options)), kReasonContextExceeded);
}

TEST(InferenceSessionTest, AnEmptyTextIsAPromptOnlyWhereBosComes) {
  FakeEngine target;
  const auto session = MustCreate(&target, nullptr);
  GenOptions options;
  options.max_tokens = 1;
  ASSERT_TRUE(session->StartTurn("", options).ok());
  TakeTokens(session.get());
  EXPECT_EQ(session->tokens()[0], kFakeBos);
  EXPECT_EQ(session->tokens().size(), 2u);
  EXPECT_EQ(Reason(session->StartTurn("", options)), kReasonEmptyPrompt);
}

TEST(InferenceSessionTest, TokenPromptsAreTakenAsTheyAre) {
  FakeEngine target;
  const auto session = MustCreate(&target, nullptr);
  GenOptions options;
  options.max_tokens = 1;
  ASSERT_TRUE(session->StartTurn({{5, 6}}, options).ok());
  EXPECT_THAT(session->tokens(), ElementsAre(5, 6));
}

TEST(InferenceSessionTest, AbsentSeedIsDrawnAndTold) {
  FakeEngine target;
  const auto session = MustCreate(&target, nullptr);
  GenOptions options;
  options.max_tokens = 10;
  options.ignore_eos = true;
  ASSERT_TRUE(session->StartTurn("ab", options).ok());
  const uint64_t seed = session->seed();
  EXPECT_LT(seed, uint64_t{1} << 53);
  const std::vector<SampledToken> tokens = TakeTokens(session.get());
  const auto again = MustCreate(&target, nullptr);
  options.seed = seed;
  ASSERT_TRUE(again->StartTurn("ab", options).ok());
  EXPECT_EQ(TakeTokens(again.get()), tokens);
}

TEST(InferenceSessionTest, AFailingDrafterCostsOnlyTime) {
  GenOptions options;
  options.draft_length = 4;
  options.draft_sources = DraftSources::kModel;
  options.seed = 5;
  options.max_tokens = 40;
  options.ignore_eos = true;
  const ReferenceTurn reference = GenerateReference(
      {},
      {.prompt = {kFakeBos, 3, 4}, .options = options, .context_max = 1000});
  for (int failing = 0; failing < 12; ++failing) {
    FakeEngine target;
    FakeEngine draft(DraftOptions());
    draft.FailStepAfter(failing);
    const auto session = MustCreate(&target, &draft);
    ASSERT_TRUE(session->StartTurn("ab", options).ok());
    EXPECT_EQ(TakeTokens(session.get()), reference.tokens);
    EXPECT_EQ(draft.open_sequences(), 0);
  }
  // One that can not be opened: no place, or a context that the prompt fills.
  FakeEngineOptions small = DraftOptions();
  for (const Position context : {2, 3, 5, 20}) {
    small.context_max = context;
    FakeEngine target;
    FakeEngine draft(small);
    const auto session = MustCreate(&target, &draft);
    ASSERT_TRUE(session->StartTurn("ab", options).ok());
    EXPECT_EQ(TakeTokens(session.get()), reference.tokens);
    EXPECT_EQ(session->speculation().drafted > 0, context > 3);
  }
}

TEST(InferenceSessionTest, AFailingTargetStopsTheTurn) {
  for (int failing = 0; failing < 6; ++failing) {
    FakeEngine target;
    FakeEngine draft;
    const auto session = MustCreate(&target, &draft);
    GenOptions options;
    options.seed = 5;
    options.ignore_eos = true;
    const ReferenceTurn reference =
        GenerateReference({}, {.prompt = {kFakeBos, 3, 4, 5},
                               .options = options,
                               .context_max = 1000});
    ASSERT_TRUE(session->StartTurn("abc", options).ok());
    target.FailStepAfter(failing);
    std::vector<TokenId> tokens;
    absl::Status status;
    while (status.ok()) {
      const auto token = session->NextToken();
      status = token.status();
      if (token.ok()) tokens.push_back((*token)->id);
    }
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(session->state(), SessionState::kStopped);
    EXPECT_EQ(session->finish_reason(), FinishReason::kError);
    EXPECT_EQ(*session->NextToken(), std::nullopt);
    EXPECT_EQ(target.open_sequences(), 0);
    EXPECT_EQ(draft.open_sequences(), 0);
    const std::vector<TokenId> ids = reference.ids();
    ASSERT_LE(tokens.size(), ids.size());
    EXPECT_TRUE(std::equal(tokens.begin(), tokens.end(), ids.begin()));
    // The session takes another turn on what it has.
    const size_t length = session->tokens().size();
    EXPECT_EQ(length, 4 + tokens.size());
    ASSERT_TRUE(session->StartTurn("a", options).ok());
    EXPECT_TRUE(session->NextToken()->has_value());
  }
}

TEST(InferenceSessionTest, CorruptLogitsAndBannedVocabulariesAreErrors) {
  FakeEngine target;
  const auto session = MustCreate(&target, nullptr);
  GenOptions options;
  target.CorruptRowAt(3);
  ASSERT_TRUE(session->StartTurn("ab", options).ok());
  EXPECT_EQ(Reason(session->NextToken().status()), kReasonNumericCorruption);
  target.CorruptRowAt(-1);
  for (TokenId id = 0; id < kFakeVocabSize; ++id) {
    options.logit_bias.push_back(
        {.id = id, .bias = -std::numeric_limits<float>::infinity()});
  }
  ASSERT_TRUE(session->StartTurn("ab", options).ok());
  EXPECT_EQ(Reason(session->NextToken().status()), kReasonNoToken);
}

TEST(InferenceSessionTest, AnotherVocabularyIsRefused) {
  FakeEngine target;
  FakeEngineOptions options;
  options.changed_piece = "thx";
  FakeEngine draft(options);
  const absl::Status status =
      InferenceSession::Create(&target, &draft).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Reason(status), kReasonVocabularyMismatch);
}

}  // namespace
}  // namespace tandem
