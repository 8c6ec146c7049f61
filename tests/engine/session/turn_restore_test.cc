// Turn::Restore: a turn that goes on in another process.

#include <gtest/gtest.h>

#include <variant>
#include <vector>

#include "engine/session/turn.h"
#include "tests/engine/session/fake_engine.h"
#include "tests/engine/session/turn_driver.h"

namespace tandem {
namespace {

// Turns that end in each way, over text with characters of several tokens.
std::vector<TurnSpec> Specs() {
  std::vector<TurnSpec> specs;
  for (int i = 0; i < 24; ++i) {
    TurnSpec spec;
    spec.prompt = {kFakeBos, 3, static_cast<TokenId>(4 + i % 15)};
    spec.options.seed = static_cast<uint64_t>(100 + i);
    spec.options.max_tokens = 40;
    spec.options.ignore_eos = i % 2 == 0;
    if (i % 3 == 0) spec.options.stop_strings = {"ab", "the", "\u20ac"};
    spec.context_max = i % 4 == 0 ? 30 : 1000;
    specs.push_back(std::move(spec));
  }
  return specs;
}

TEST(TurnRestoreTest, GoesOnFromAnyTokenWithTheSameText) {
  const FakeModel model;
  for (const TurnSpec& spec : Specs()) {
    const ReferenceTurn reference = GenerateReference(model, spec);
    const std::vector<TokenId> ids = reference.ids();
    for (size_t kept = 0; kept < ids.size(); ++kept) {
      Turn turn(&TestTokenizer(), spec);
      std::vector<TurnAction> actions =
          turn.Restore(absl::MakeConstSpan(ids).first(kept));
      ASSERT_FALSE(turn.ended());
      // Each token is a round of its own, whose text is known.
      ASSERT_EQ(actions.size(), kept);
      for (size_t i = 0; i < kept; ++i) {
        const auto& emit = std::get<EmitAction>(actions[i]);
        EXPECT_EQ(emit.first_token, static_cast<int64_t>(i));
        ASSERT_EQ(emit.tokens.size(), 1u);
        EXPECT_EQ(emit.tokens[0].id, ids[i]);
        EXPECT_EQ(emit.draft, VerifiedDraft());
        EXPECT_LE(emit.text_end, turn.text().size());
      }
      EXPECT_EQ(reference.text.substr(0, turn.text().size()), turn.text());
      actions = turn.Start(/*has_drafter=*/false);
      while (!turn.ended()) {
        const auto& verify = std::get<VerifyAction>(actions.back());
        EXPECT_EQ(verify.position + static_cast<Position>(verify.tokens.size()),
                  static_cast<Position>(turn.session_tokens().size()));
        const size_t next = turn.generated().size();
        actions = turn.OnVerified(
            absl::MakeConstSpan(reference.tokens).subspan(next, 1));
      }
      EXPECT_EQ(std::get<EndAction>(actions.back()).reason, reference.reason);
      EXPECT_EQ(turn.text(), reference.text);
      EXPECT_EQ(turn.speculation().rounds,
                static_cast<int64_t>(ids.size() - kept));
    }
  }
}

TEST(TurnRestoreTest, EndsWhereItsTokensBringTheEnd) {
  const FakeModel model;
  for (const TurnSpec& spec : Specs()) {
    const ReferenceTurn reference = GenerateReference(model, spec);
    std::vector<TokenId> ids = reference.ids();
    // What stands behind the end is dropped.
    ids.insert(ids.end(), {5, 6});
    Turn turn(&TestTokenizer(), spec);
    const std::vector<TurnAction> actions = turn.Restore(ids);
    EXPECT_TRUE(turn.ended());
    EXPECT_EQ(turn.usage().generated_tokens,
              static_cast<int64_t>(reference.tokens.size()));
    EXPECT_EQ(std::get<EndAction>(actions.back()).reason, reference.reason);
    EXPECT_EQ(turn.text(), reference.text);
    EXPECT_TRUE(turn.Start(false).empty());
    EXPECT_TRUE(turn.OnCancel(FinishReason::kCancelled).empty());
  }
}

TEST(TurnRestoreTest, OfNothingIsANewTurn) {
  Turn turn(&TestTokenizer(), Specs()[1]);
  EXPECT_TRUE(turn.Restore({}).empty());
  EXPECT_EQ(turn.Start(false).size(), 1u);
}

TEST(TurnRestoreDeathTest, TakesIdsOfTheVocabularyAlone) {
  Turn turn(&TestTokenizer(), Specs()[1]);
  EXPECT_DEATH(turn.Restore({{kFakeVocabSize}}), "");
}

}  // namespace
}  // namespace tandem
