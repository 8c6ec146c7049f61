#include "services/coordinator/client/session.h"

#include <gtest/gtest.h>

#include "tests/services/coordinator/fake_links.h"

namespace tandem {
namespace {

class SessionTest : public ::testing::Test, public SessionHolder {
 protected:
  SessionTest()
      : loop_(&clock_),
        session_("id", "tenant", SessionUse::kOneShot, clock_.Now()) {
    directory_.targets["t"] = {.link = std::make_shared<FakeLink>(1, "fp")};
  }
  bool opens_turn() const override { return false; }
  void OnLost(const absl::Status& /*why*/) override {}

  std::unique_ptr<SessionTurn> MakeTurn(std::vector<TokenId> prompt) {
    TurnSpec spec;
    spec.prompt = std::move(prompt);
    spec.options.max_tokens = 5;
    spec.options.seed = 1;
    spec.options.ignore_eos = true;
    spec.context_max = 1000;
    const int64_t number = session_.turns() + 1;
    // An aggregate: make_unique has no braces for it.
    return std::unique_ptr<SessionTurn>(new SessionTurn{
        .runner = TurnRunner(&loop_, &directory_, TurnLimits(),
                             TurnSetup{.session_id = "id",
                                       .number = number,
                                       .tokenizer = FakeTokenizer(),
                                       .spec = spec,
                                       .timeout = std::nullopt}),
        .journal = TurnJournal({.loop = &loop_, .key = {"id", 1, number}})});
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
  EXPECT_EQ(session_.model().id, "");
  EXPECT_EQ(session_.model().vocabulary_fingerprint, "");
}

TEST_F(SessionTest, TheLastTakenTurnIsTheHistory) {
  for (int turns = 1; turns <= 2; ++turns) {
    std::unique_ptr<SessionTurn> turn = MakeTurn({1, 270});
    SessionTurn* const taken = turn.get();
    Run(&taken->runner);
    session_.Take(std::move(turn));
    EXPECT_EQ(session_.turns(), turns);
    EXPECT_EQ(session_.last(), taken);
    EXPECT_EQ(session_.turn(), &taken->runner);
    EXPECT_EQ(session_.History().size(), 7u);
    EXPECT_EQ(session_.LastToken(), session_.History().back());
    EXPECT_EQ(session_.model().id, "fake");
    EXPECT_EQ(session_.model().vocabulary_fingerprint, "vocabulary");
  }
}

TEST_F(SessionTest, KnowsAboutWhatItTakes) {
  const int64_t empty = session_.bytes();
  EXPECT_GT(empty, 0);
  std::unique_ptr<SessionTurn> turn = MakeTurn(std::vector<TokenId>(900, 270));
  turn->loaded_end.emplace();
  Run(&turn->runner);
  session_.Take(std::move(turn));
  EXPECT_GE(session_.bytes(), empty + 900 * int64_t{sizeof(TokenId)});
  EXPECT_LT(session_.bytes(), empty + 20000);
}

TEST_F(SessionTest, GoesOnWhereTheStoreHasIt) {
  EXPECT_EQ(session_.epoch(), kFirstDriverEpoch);
  session_.Restore(/*epoch=*/4, /*number=*/3, MakeTurn({1, 270}));
  EXPECT_EQ(session_.epoch(), 4);
  EXPECT_EQ(session_.turns(), 3);
  EXPECT_EQ(session_.History().size(), 2u);
  session_.Take(MakeTurn({1, 271}));
  EXPECT_EQ(session_.epoch(), 4);
  EXPECT_EQ(session_.turns(), 4);
}

TEST_F(SessionTest, WhoLetsATurnGoHearsNothingOfIt) {
  struct Listener : TurnListener {
    void OnTurnChanged() override { ++calls; }
    int calls = 0;
  } listener;
  std::unique_ptr<SessionTurn> turn = MakeTurn({1, 270});
  turn->runner.SetListener(&listener);
  EXPECT_TRUE(turn->LetGo());
  Run(&turn->runner);
  EXPECT_EQ(listener.calls, 0);
}

TEST_F(SessionTest, ABeginInVainIsMadeVoidByANewEpoch) {
  EXPECT_FALSE(session_.is_begun_in_vain());
  session_.SetBegunInVain();
  EXPECT_TRUE(session_.is_begun_in_vain());
  session_.SetEpoch(5);
  EXPECT_FALSE(session_.is_begun_in_vain());
  EXPECT_EQ(session_.epoch(), 5);
}

TEST_F(SessionTest, BecomesAConversation) {
  EXPECT_EQ(session_.use(), SessionUse::kOneShot);
  session_.SetConversation();
  EXPECT_EQ(session_.use(), SessionUse::kConversation);
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
