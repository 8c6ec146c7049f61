#include "tools/load/tandem_target.h"

#include <string>

#include "gtest/gtest.h"
#include "tests/tools/load/fake_generation.h"
#include "tools/load/load_run.h"

namespace tandem::load {
namespace {

class TandemTargetTest : public ::testing::TestWithParam<TandemCall> {};

TEST_P(TandemTargetTest, ManySessionsShareTheConnections) {
  FakeGeneration server;
  TandemTargetOptions target_options;
  target_options.channels = {server.NewChannel(), server.NewChannel()};
  target_options.call = GetParam();
  target_options.model_id = std::string("m");
  target_options.generation.set_ignore_eos(true);
  TandemTarget target(target_options);
  LoadOptions options;
  options.sessions = 8;
  options.turns = 2;
  options.requests = 48;
  LoadRun run(options, TurnSource(options, 100), &target, nullptr);
  const LoadFigures figures = run.Run();
  EXPECT_EQ(figures.turns_ended, 48);
  EXPECT_EQ(figures.turns_failed, 0);
  EXPECT_EQ(figures.generated_tokens, 48 * 5);
  EXPECT_EQ(figures.event_gap_us.count(), 48);
  EXPECT_EQ(figures.tokens_per_round(), 2.5);
  EXPECT_EQ(figures.round_rpc_us.count(), 48);
  const std::vector<v1::TurnRequest> turns = server.turns();
  ASSERT_EQ(turns.size(), 48u);
  int continued = 0;
  for (const v1::TurnRequest& turn : turns) {
    EXPECT_EQ(turn.model_id(), "m");
    EXPECT_TRUE(turn.options().ignore_eos());
    continued += turn.session_id().empty() ? 0 : 1;
  }
  // The end may fall between the two turns of each session.
  EXPECT_LE(continued, 24);
  EXPECT_GE(continued, 20);
}

INSTANTIATE_TEST_SUITE_P(Calls, TandemTargetTest,
                         ::testing::Values(TandemCall::kConverse,
                                           TandemCall::kGenerate));

}  // namespace
}  // namespace tandem::load
