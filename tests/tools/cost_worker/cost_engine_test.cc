#include "tools/cost_worker/cost_engine.h"

#include <algorithm>
#include <limits>

#include "gmock/gmock.h"
#include "tests/tools/cost_worker/cost_vocabulary.h"

namespace tandem::bench {
namespace {

using ::testing::ElementsAre;

// Keeps the best token of each row.
class BestTokens final : public RowConsumer {
 public:
  void OnRow(size_t item, size_t row, absl::Span<float> logits) override {
    items.push_back(item);
    rows.push_back(row);
    const auto best = std::max_element(logits.begin(), logits.end());
    tokens.push_back(static_cast<TokenId>(best - logits.begin()));
    finite.push_back(static_cast<int>(
        std::count_if(logits.begin(), logits.end(), [](float logit) {
          return logit != -std::numeric_limits<float>::infinity();
        })));
    // As the sampler may.
    std::fill(logits.begin(), logits.end(), 5.0f);
  }
  std::vector<size_t> items;
  std::vector<size_t> rows;
  std::vector<TokenId> tokens;
  std::vector<int> finite;
};

std::unique_ptr<CostEngine> MakeEngine(const CostEngineOptions& options = {}) {
  auto engine = CostEngine::Create(DemoTokenizer(), options);
  EXPECT_TRUE(engine.ok()) << engine.status();
  return *std::move(engine);
}

TEST(CostEngineTest, RowsAreTheFunctionOfPositionAndToken) {
  const auto engine = MakeEngine();
  const SequenceId one = *engine->Open(SequenceOptions{.tokens_max = 100});
  const SequenceId two = *engine->Open(SequenceOptions{.tokens_max = 100});
  const std::vector<TokenId> tokens = {10, 11, 12};
  const std::vector<StepItem> batch = {
      {.sequence = one, .tokens = tokens, .rows = WantedRows::kAll},
      {.sequence = two, .tokens = tokens, .rows = WantedRows::kLast}};
  BestTokens best;
  ASSERT_TRUE(engine->Step(batch, &best).ok());
  EXPECT_THAT(best.items, ElementsAre(0, 0, 0, 1));
  EXPECT_THAT(best.rows, ElementsAre(0, 1, 2, 0));
  EXPECT_THAT(best.tokens,
              ElementsAre(engine->NextToken(0, 10), engine->NextToken(1, 11),
                          engine->NextToken(2, 12), engine->NextToken(2, 12)));
  EXPECT_THAT(best.finite, ElementsAre(1, 1, 1, 1));
  for (const TokenId id : best.tokens) {
    EXPECT_EQ(engine->tokenizer().kind(id), TokenKind::kNormal);
    EXPECT_FALSE(engine->tokenizer().IsEndOfGeneration(id));
  }
  // A rollback and the same again.
  BestTokens again;
  ASSERT_TRUE(engine
                  ->Step({{.sequence = one,
                           .position = 1,
                           .tokens = absl::MakeSpan(tokens).subspan(1, 1),
                           .rows = WantedRows::kAll}},
                         &again)
                  .ok());
  EXPECT_THAT(again.tokens, ElementsAre(best.tokens[1]));
}

TEST(CostEngineTest, ADraftAgreesAtItsShareOfPositions) {
  const auto target = MakeEngine();
  CostEngineOptions options;
  options.agreement = 0.8;
  const auto draft = MakeEngine(options);
  EXPECT_NE(draft->info().fingerprint, target->info().fingerprint);
  EXPECT_EQ(MakeEngine()->info().fingerprint, target->info().fingerprint);
  int agreed = 0;
  constexpr int kPositions = 20000;
  TokenId token = 10;
  for (int position = 0; position < kPositions; ++position) {
    const TokenId next = target->NextToken(position, token);
    agreed += draft->NextToken(position, token) == next ? 1 : 0;
    token = next;
  }
  // Binomial: a standard deviation is 57; six of them.
  EXPECT_NEAR(agreed, 0.8 * kPositions, 340);
}

TEST(CostEngineTest, APassTakesItsTimeAtLeast) {
  CostEngineOptions options;
  options.step_base = std::chrono::microseconds(2000);
  options.step_per_row = std::chrono::microseconds(500);
  const auto engine = MakeEngine(options);
  const SequenceId sequence = *engine->Open(SequenceOptions{.tokens_max = 10});
  const std::vector<TokenId> tokens = {10, 11, 12, 13};
  BestTokens best;
  const auto began = std::chrono::steady_clock::now();
  ASSERT_TRUE(
      engine->Step({{.sequence = sequence, .tokens = tokens}}, &best).ok());
  EXPECT_GE(std::chrono::steady_clock::now() - began,
            std::chrono::microseconds(4000));
  EXPECT_TRUE(best.tokens.empty());
}

TEST(CostEngineTest, SequencesAndPagesAreBounded) {
  CostEngineOptions options;
  options.sequences_max = 2;
  options.kv_tokens = 10 * kCostPageTokens;
  options.context_max = 8 * kCostPageTokens;
  const auto engine = MakeEngine(options);
  EXPECT_EQ(engine->Open(SequenceOptions{.tokens_max = 8 * kCostPageTokens + 1})
                .status()
                .code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(engine->Open(SequenceOptions{.tokens_max = 0}).status().code(),
            absl::StatusCode::kInvalidArgument);
  const SequenceId first =
      *engine->Open(SequenceOptions{.tokens_max = 7 * kCostPageTokens + 1});
  EXPECT_EQ(engine->kv_usage().pages_reserved, 8);
  EXPECT_EQ(engine->Open(SequenceOptions{.tokens_max = 3 * kCostPageTokens})
                .status()
                .code(),
            absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(
      engine->Open(SequenceOptions{.tokens_max = 2 * kCostPageTokens}).ok());
  EXPECT_EQ(engine->kv_usage().pages_reserved, 10);
  EXPECT_EQ(engine->Open(SequenceOptions{.tokens_max = 1}).status().code(),
            absl::StatusCode::kResourceExhausted);
  engine->Close(first);
  EXPECT_EQ(engine->kv_usage().pages_reserved, 2);
  EXPECT_EQ(engine->kv_usage().pages_total, 10);
  EXPECT_TRUE(engine->Open(SequenceOptions{.tokens_max = 1}).ok());
}

TEST(CostEngineDeathTest, WrongBatchesAreBugs) {
  CostEngineOptions options;
  options.rows_max = 3;
  const auto engine = MakeEngine(options);
  const SequenceId sequence = *engine->Open(SequenceOptions{.tokens_max = 2});
  const std::vector<TokenId> good = {10, 11};
  const std::vector<TokenId> three = {1, 2, 3};
  const std::vector<TokenId> four = {1, 2, 3, 4};
  BestTokens best;
  const auto step = [&](Position position, absl::Span<const TokenId> tokens) {
    engine
        ->Step({{.sequence = sequence, .position = position, .tokens = tokens}},
               &best)
        .IgnoreError();
  };
  EXPECT_DEATH(step(1, good), "position");
  EXPECT_DEATH(step(-1, good), "position");
  EXPECT_DEATH(step(0, three), "tokens_max");
  EXPECT_DEATH(step(0, four), "rows_max");
  step(0, good);
  EXPECT_EQ(engine->state(sequence).length, 2);
}

}  // namespace
}  // namespace tandem::bench
