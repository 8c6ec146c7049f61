// An InferenceSession over real models whose vocabularies differ in size, as
// those of a family do that are filled up to round sizes.

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/session/inference_session.h"
#include "tests/engine/model/tiny_model.h"

namespace tandem {
namespace {

constexpr int kSmall = 300;
constexpr int kLarge = 364;

// The first kSmall tokens are common; the others are fillers.
std::unique_ptr<Engine> MakeEngine(int vocab_size, uint64_t seed) {
  TinyModel tiny({.layers = 1, .vocab_size = vocab_size, .seed = seed});
  for (int id = kSmall; id < vocab_size; ++id) {
    tiny.pieces[id] = absl::StrCat("[PAD", id, "]");
  }
  auto model = LoadTiny(tiny, {.threads = 1});
  EXPECT_TRUE(model.ok()) << model.status();
  auto engine = Engine::Load(*model, {.threads = 1, .kv_tokens = 1024});
  EXPECT_TRUE(engine.ok()) << engine.status();
  return *std::move(engine);
}

struct TurnRun {
  std::vector<TokenId> tokens;
  SpeculationCounts counts;
};

TurnRun RunTurn(InferenceSession* session, std::vector<TokenId> prompt,
                const GenOptions& options) {
  EXPECT_TRUE(session->StartTurn(prompt, options).ok());
  TurnRun run;
  while (true) {
    const auto token = session->NextToken();
    EXPECT_TRUE(token.ok()) << token.status();
    if (!token.ok() || !token->has_value()) break;
    run.tokens.push_back((*token)->id);
  }
  EXPECT_EQ(session->state(), SessionState::kComplete);
  run.counts = session->speculation();
  return run;
}

GenOptions Options(uint64_t seed) {
  GenOptions options;
  options.seed = seed;
  options.temperature = 1;
  options.top_k = 0;
  options.top_p = 1;
  options.max_tokens = 24;
  options.ignore_eos = true;
  options.draft_length = 4;
  options.draft_sources = DraftSources::kModel;
  return options;
}

// Index of the first id that the smaller vocabulary lacks.
size_t FirstFiller(const std::vector<TokenId>& tokens) {
  return std::find_if(tokens.begin(), tokens.end(),
                      [](TokenId id) { return id >= kSmall; }) -
         tokens.begin();
}

class VocabularyPairTest : public ::testing::Test {
 protected:
  std::unique_ptr<InferenceSession> Session(Engine* target, Engine* draft) {
    auto session = InferenceSession::Create(target, draft);
    EXPECT_TRUE(session.ok()) << session.status();
    return *std::move(session);
  }

  // Other weights, so that drafts are refused now and then.
  const std::unique_ptr<Engine> small_ = MakeEngine(kSmall, 1);
  const std::unique_ptr<Engine> large_ = MakeEngine(kLarge, 2);
};

TEST_F(VocabularyPairTest, ATokenThatTheDrafterLacksEndsDrafting) {
  int ended_early = 0;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    GenOptions options = Options(seed);
    const auto paired = Session(large_.get(), small_.get());
    const TurnRun run = RunTurn(paired.get(), {1, 40, 50}, options);
    options.draft_length = 0;
    const auto plain = Session(large_.get(), nullptr);
    EXPECT_EQ(run.tokens, RunTurn(plain.get(), {1, 40, 50}, options).tokens)
        << seed;
    // Drafted until then, and not once after: a round drafts up to 4 tokens for
    // each that is committed.
    const size_t first = FirstFiller(run.tokens);
    EXPECT_LE(run.counts.drafted, static_cast<int64_t>(4 * (first + 1)))
        << seed;
    EXPECT_GT(run.counts.drafted, 0) << seed;
    ended_early += first + 2 < run.tokens.size() ? 1 : 0;
  }
  EXPECT_GE(ended_early, 3);
}

TEST_F(VocabularyPairTest, APromptThatTheDrafterLacksHasNoDrafts) {
  const auto session = Session(large_.get(), small_.get());
  const TurnRun run = RunTurn(session.get(), {1, kSmall + 5, 50}, Options(3));
  EXPECT_EQ(run.tokens.size(), 24u);
  EXPECT_EQ(run.counts.drafted, 0);
}

TEST_F(VocabularyPairTest, OptionsMayNameTokensThatTheDrafterLacks) {
  GenOptions options = Options(4);
  // None of the fillers comes.
  for (TokenId id = kSmall; id < kLarge; ++id) {
    options.logit_bias.push_back(
        {.id = id, .bias = -std::numeric_limits<float>::infinity()});
  }
  options.stop_token_ids = {kSmall + 1};
  const auto session = Session(large_.get(), small_.get());
  const TurnRun run = RunTurn(session.get(), {1, 40, 50}, options);
  EXPECT_GT(run.counts.rounds, 0);
  // Every round but those of the end.
  EXPECT_GE(run.counts.drafted, run.counts.rounds);
  options.draft_length = 0;
  const auto plain = Session(large_.get(), nullptr);
  EXPECT_EQ(run.tokens, RunTurn(plain.get(), {1, 40, 50}, options).tokens);
}

// What a larger drafter proposes beyond the target's vocabulary is dropped.
TEST_F(VocabularyPairTest, ADrafterMayBeTheLargerOne) {
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    GenOptions options = Options(seed);
    const auto paired = Session(small_.get(), large_.get());
    const TurnRun run = RunTurn(paired.get(), {1, 40, 50}, options);
    EXPECT_GT(run.counts.drafted, 0);
    options.draft_length = 0;
    const auto plain = Session(small_.get(), nullptr);
    EXPECT_EQ(run.tokens, RunTurn(plain.get(), {1, 40, 50}, options).tokens);
  }
}

TEST_F(VocabularyPairTest, ARealTokenMoreIsRefused) {
  TinyModel tiny({.layers = 1, .vocab_size = kSmall + 1});
  auto model = LoadTiny(tiny, {.threads = 1});
  ASSERT_TRUE(model.ok()) << model.status();
  auto other = Engine::Load(*model, {.threads = 1, .kv_tokens = 1024});
  ASSERT_TRUE(other.ok()) << other.status();
  const absl::Status status =
      InferenceSession::Create(large_.get(), other->get()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(GetErrorDetail(status).has_value());
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonVocabularyMismatch);
  EXPECT_TRUE(absl::StrContains(status.message(),
                                "the first token that differs is 300: "))
      << status;
}

}  // namespace
}  // namespace tandem
