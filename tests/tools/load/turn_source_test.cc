#include "tools/load/turn_source.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::load {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::Ge;
using ::testing::Lt;

constexpr int kVocab = 50;

std::vector<TokenId> Head(const LoadTurn& turn, size_t count) {
  return {turn.prompt.begin(),
          turn.prompt.begin() + static_cast<std::ptrdiff_t>(count)};
}

TEST(TurnSourceTest, TurnsAreAPureFunctionOfTheirNumbers) {
  LoadOptions options;
  options.prompt_tokens = {.low = 5, .high = 20};
  options.output_tokens = {.low = 3, .high = 9};
  options.draft_length = 4;
  options.with_format = false;
  const TurnSource source(options, kVocab);
  bool lengths_differ = false;
  for (int64_t session = 0; session < 20; ++session) {
    const LoadTurn turn = source.Make(session, 1);
    const LoadTurn again = TurnSource(options, kVocab).Make(session, 1);
    EXPECT_EQ(turn.prompt, again.prompt);
    EXPECT_EQ(turn.seed, again.seed);
    EXPECT_THAT(turn.prompt, Each(AllOf(Ge(kFirstPromptToken), Lt(kVocab))));
    EXPECT_GE(turn.prompt.size(), 5u);
    EXPECT_LE(turn.prompt.size(), 20u);
    EXPECT_GE(turn.output_tokens, 3);
    EXPECT_LE(turn.output_tokens, 9);
    EXPECT_EQ(turn.draft_length, 4);
    EXPECT_FALSE(turn.with_format);
    EXPECT_NE(turn.prompt, source.Make(session, 2).prompt);
    EXPECT_NE(turn.seed, source.Make(session + 1, 1).seed);
    lengths_differ |= turn.prompt.size() != source.Make(0, 1).prompt.size();
  }
  EXPECT_TRUE(lengths_differ);
}

TEST(TurnSourceTest, AGroupSharesThePrefixOfItsFirstPrompts) {
  LoadOptions options;
  options.prompt_tokens = {.low = 8, .high = 8};
  options.shared_prefix_tokens = 16;
  options.prefix_groups = 2;
  const TurnSource source(options, kVocab);
  const LoadTurn turn = source.Make(0, 0);
  EXPECT_EQ(turn.prompt.size(), 24u);
  EXPECT_EQ(Head(source.Make(2, 0), 16), Head(turn, 16));
  EXPECT_NE(Head(source.Make(1, 0), 16), Head(turn, 16));
  EXPECT_NE(source.Make(2, 0).prompt, turn.prompt);
  EXPECT_EQ(source.Make(0, 1).prompt.size(), 8u);
}

TEST(TurnSourceTest, FirstTurnsOfAClosedLoopEndOneAfterTheOther) {
  LoadOptions options;
  options.sessions = 4;
  options.output_tokens = {.low = 100, .high = 100};
  const auto length = [&options](int64_t session, int turn) {
    return TurnSource(options, kVocab).Make(session, turn).output_tokens;
  };
  EXPECT_EQ(length(0, 0), 100);
  options.warmup = std::chrono::seconds(1);
  EXPECT_EQ(length(0, 0), 25);
  EXPECT_EQ(length(1, 0), 50);
  EXPECT_EQ(length(3, 0), 100);
  // Later ones, and those of later sessions, are as asked.
  EXPECT_EQ(length(0, 1), 100);
  EXPECT_EQ(length(4, 0), 100);
  options.output_tokens = {.low = 1, .high = 1};
  EXPECT_EQ(length(0, 0), 1);
  options.rate = 2;
  options.output_tokens = {.low = 100, .high = 100};
  EXPECT_EQ(length(0, 0), 100);
}

TEST(TurnSourceTest, ASaltComesFirstAndOnceASession) {
  LoadOptions options;
  options.prompt_tokens = {.low = 8, .high = 8};
  const TurnSource plain(options, kVocab);
  options.salt = 1;
  const TurnSource salted(options, kVocab);
  options.salt = 2;
  const TurnSource other(options, kVocab);
  const LoadTurn turn = salted.Make(3, 0);
  EXPECT_EQ(turn.prompt.size(), 9u);
  EXPECT_EQ(std::vector<TokenId>(turn.prompt.begin() + 1, turn.prompt.end()),
            plain.Make(3, 0).prompt);
  EXPECT_NE(turn.prompt.front(), other.Make(3, 0).prompt.front());
  EXPECT_EQ(salted.Make(3, 1).prompt, plain.Make(3, 1).prompt);
}

}  // namespace
}  // namespace tandem::load
