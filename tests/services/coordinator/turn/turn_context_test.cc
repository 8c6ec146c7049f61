#include "services/coordinator/turn/turn_context.h"

#include <gtest/gtest.h>

#include "tests/services/coordinator/fake_links.h"

namespace tandem {
namespace {

TEST(TurnContextTest, SaysWhatASequenceNeeds) {
  GenOptions options;
  options.max_tokens = 20;
  options.draft_length = 4;
  const std::vector<TokenId> tokens = {1, 2, 3, 4, 5};
  const SequenceNeed need = NeedOf({.tenant = "tenant",
                                    .tokens = tokens,
                                    .options = options,
                                    .generated = 2},
                                   {.name = "w", .tokens = 3});
  EXPECT_EQ(need.tenant, "tenant");
  EXPECT_EQ(need.tokens.size(), 5u);
  // A prompt of 3, 20 tokens, and a draft that is taken back.
  EXPECT_EQ(need.tokens_max, 3 + 20 + 4);
  EXPECT_EQ(need.generated_max, 18);
  EXPECT_EQ(need.last_worker.name, "w");
}

TEST(TurnContextTest, TheNeedOfATurnGoesByItsTokens) {
  FakeClock clock;
  EventLoop loop(&clock);
  FakeDirectory directory;
  TurnSpec spec{.prompt = {1, 270}, .context_max = 100};
  spec.options.max_tokens = 10;
  spec.options.draft_length = 0;
  TurnContext context(&loop, &directory, TurnLimits(),
                      {.session_id = "id",
                       .tokenizer = FakeTokenizer(),
                       .spec = spec,
                       .timeout = {}});
  context.turn.Start(false);
  EXPECT_EQ(context.Need({}).generated_max, 10);
  context.turn.OnVerified({{{.id = 280}}});
  const SequenceNeed need = context.Need({});
  EXPECT_EQ(need.tokens.size(), 3u);
  EXPECT_EQ(need.tokens_max, 12);
  EXPECT_EQ(need.generated_max, 9);
  context.started_at = clock.Now();
  clock.AdvanceTo(clock.Now() + std::chrono::milliseconds(2));
  EXPECT_EQ(context.MicrosSinceStart(), 2000);
}

}  // namespace
}  // namespace tandem
