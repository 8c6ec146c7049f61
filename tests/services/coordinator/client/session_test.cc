#include "services/coordinator/client/session.h"

#include <gtest/gtest.h>

#include "tests/services/coordinator/fake_links.h"

namespace tandem {
namespace {

class SessionTest : public ::testing::Test, public SessionHolder {
 protected:
  SessionTest() : loop_(&clock_), session_("id", "tenant", clock_.Now()) {
    directory_.targets["t"] = {.link = std::make_shared<FakeLink>(1, "fp")};
  }
  void OnTakenOver() override {}

  std::unique_ptr<TurnRunner> MakeTurn(std::vector<TokenId> prompt) {
    TurnSpec spec;
    spec.prompt = std::move(prompt);
    spec.options.max_tokens = 5;
    spec.options.seed = 1;
    spec.options.ignore_eos = true;
    spec.context_max = 1000;
    return std::make_unique<TurnRunner>(
        &loop_, &directory_, TurnLimits(),
        TurnSetup{.session_id = "id",
                  .number = session_.turns() + 1,
                  .tokenizer = FakeTokenizer(),
                  .spec = spec,
                  .timeout = std::nullopt});
  }
  void Run(TurnRunner* turn) {
    turn->Start(*directory_.PickTarget({.model_id = "fake",
                                        .fingerprint = "fp",
                                        .vocabulary_fingerprint = "",
                                        .avoid = {}}));
    while (turn->active()) {
      if (!loop_.RunReady()) clock_.AdvanceTo(*loop_.NextTimer());
    }
  }

  FakeClock clock_;
  EventLoop loop_;
  FakeDirectory directory_;
  Session session_;
};

TEST_F(SessionTest, BeginsEmpty) {
  EXPECT_EQ(session_.turns(), 0);
  EXPECT_EQ(session_.turn(), nullptr);
  EXPECT_TRUE(session_.History().empty());
  EXPECT_FALSE(session_.LastToken().has_value());
  EXPECT_EQ(session_.model_id(), "");
  EXPECT_EQ(session_.vocabulary_fingerprint(), "");
}

TEST_F(SessionTest, ACommittedTurnIsTheHistory) {
  TurnRunner* const turn = session_.OpenTurn(MakeTurn({1, 270}));
  Run(turn);
  EXPECT_TRUE(session_.History().empty());  // not yet
  session_.CommitTurn();
  EXPECT_EQ(session_.turns(), 1);
  EXPECT_EQ(session_.turn(), turn);
  EXPECT_EQ(session_.History().size(), 7u);
  EXPECT_EQ(session_.model_id(), "fake");
  EXPECT_EQ(session_.vocabulary_fingerprint(),
            FakeTokenizer()->vocabulary_fingerprint());
}

TEST_F(SessionTest, AnAbandonedTurnLeavesTheSessionAsItWas) {
  Run(session_.OpenTurn(MakeTurn({1, 270})));
  session_.CommitTurn();
  const std::vector<TokenId> history(session_.History().begin(),
                                     session_.History().end());
  EXPECT_EQ(session_.LastToken(), history.back());
  Run(session_.OpenTurn(MakeTurn({1, 270, 280})));
  session_.AbandonTurn();
  session_.AbandonTurn();  // none: nothing
  EXPECT_EQ(session_.turns(), 1);
  EXPECT_EQ(session_.History(), history);
}

TEST_F(SessionTest, IsIdleFromLetGoOn) {
  session_.Hold(this);
  EXPECT_EQ(session_.holder(), this);
  const MonotonicTime later = clock_.Now() + std::chrono::seconds(5);
  session_.LetGo(later);
  EXPECT_EQ(session_.holder(), nullptr);
  EXPECT_EQ(session_.idle_since(), later);
}

}  // namespace
}  // namespace tandem
