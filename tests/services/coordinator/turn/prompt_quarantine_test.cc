#include "services/coordinator/turn/prompt_quarantine.h"

#include <gtest/gtest.h>

#include <memory>

#include "engine/base/status.h"
#include "tests/services/coordinator/fake_links.h"

namespace tandem {
namespace {

using Leave = PromptQuarantine::Leave;
using std::chrono::milliseconds;
using Stay = PromptQuarantine::Stay;

constexpr PromptHash kKiller = {1, 1};
constexpr PromptHash kOther = {2, 2};
constexpr PromptHash kThird = {3, 3};

class PromptQuarantineTest : public ::testing::Test {
 protected:
  PromptQuarantineTest()
      : loop_(&clock_), quarantine_(&loop_, [this] { ++convicted_; }) {}

  std::unique_ptr<Stay> Begin(const PromptHash& prompt,
                              const std::string& worker) {
    return std::make_unique<Stay>(&quarantine_, prompt, worker);
  }
  void Pass(MonotonicDuration time) { clock_.AdvanceTo(clock_.Now() + time); }
  // The worker dies with both.
  void Die(std::unique_ptr<Stay> one, std::unique_ptr<Stay> other = nullptr) {
    Pass(milliseconds(5));
    for (std::unique_ptr<Stay>* stay : {&one, &other}) {
      if (*stay == nullptr) continue;
      (*stay)->OnDeath();
      stay->reset();
      Pass(milliseconds(1));
    }
  }

  // Once it is known that the workers died.
  bool Refuses(const PromptHash& prompt) {
    EXPECT_EQ(quarantine_.Ask(prompt), Leave::kWait);
    Pass(kProofTime);
    return quarantine_.Ask(prompt) == Leave::kNever;
  }

  FakeClock clock_;
  EventLoop loop_;
  int convicted_ = 0;
  PromptQuarantine quarantine_;
};

TEST(HashPromptTest, DiffersByModelAndTokens) {
  const std::vector<TokenId> prompt = {1, 2, 3};
  const PromptHash hash = HashPrompt("a", prompt);
  EXPECT_EQ(hash, HashPrompt("a", std::vector<TokenId>{1, 2, 3}));
  EXPECT_NE(hash, HashPrompt("b", prompt));
  EXPECT_NE(hash, HashPrompt("a", std::vector<TokenId>{1, 2}));
  EXPECT_NE(hash, HashPrompt("a", std::vector<TokenId>{1, 2, 4}));
}

TEST_F(PromptQuarantineTest, TheSecondDeathConvicts) {
  EXPECT_EQ(quarantine_.Ask(kKiller), Leave::kGo);
  Die(Begin(kKiller, "a"));
  EXPECT_EQ(quarantine_.Ask(kKiller), Leave::kGo);
  EXPECT_EQ(convicted_, 0);
  Die(Begin(kKiller, "b"));
  EXPECT_TRUE(Refuses(kKiller));
  EXPECT_EQ(convicted_, 1);
  EXPECT_EQ(quarantine_.Ask(kKiller), Leave::kNever);
  EXPECT_EQ(convicted_, 1);
  EXPECT_EQ(quarantine_.Ask(kOther), Leave::kGo);
  const absl::Status refusal = PromptQuarantine::Refusal();
  EXPECT_EQ(refusal.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(GetErrorDetail(refusal)->reason, kReasonPromptQuarantined);
  Pass(kQuarantineTime - kProofTime - std::chrono::seconds(1));
  EXPECT_EQ(quarantine_.Ask(kKiller), Leave::kNever);
  Pass(std::chrono::seconds(1));
  EXPECT_EQ(quarantine_.Ask(kKiller), Leave::kGo);
  EXPECT_EQ(quarantine_.suspects(), 0u);
}

// The worker that came back under its name is another one.
TEST_F(PromptQuarantineTest, AWorkerMayDieTwice) {
  Die(Begin(kKiller, "a"));
  Die(Begin(kKiller, "a"));
  EXPECT_TRUE(Refuses(kKiller));
}

// The way to it was cut.
TEST_F(PromptQuarantineTest, AWorkerThatIsBackHasNotDied) {
  Die(Begin(kOther, "a"));
  quarantine_.OnAlive("b");
  EXPECT_EQ(quarantine_.suspects(), 1u);
  quarantine_.OnAlive("a");
  EXPECT_EQ(quarantine_.suspects(), 0u);
  Die(Begin(kOther, "a"));
  Die(Begin(kOther, "b"));
  EXPECT_EQ(quarantine_.Ask(kOther), Leave::kWait);
  quarantine_.OnAlive("b");
  EXPECT_EQ(quarantine_.Ask(kOther), Leave::kGo);
  Begin(kOther, "b")->OnAnswer();
  EXPECT_EQ(quarantine_.suspects(), 0u);
  EXPECT_EQ(convicted_, 0);
  // Too late.
  Die(Begin(kKiller, "a"));
  Die(Begin(kKiller, "b"));
  EXPECT_TRUE(Refuses(kKiller));
  quarantine_.OnAlive("b");
  EXPECT_EQ(quarantine_.Ask(kKiller), Leave::kNever);
}

TEST_F(PromptQuarantineTest, TwoTurnsWithOnePromptDieOnce) {
  Die(Begin(kKiller, "a"), Begin(kKiller, "a"));
  EXPECT_EQ(quarantine_.Ask(kKiller), Leave::kGo);
  Die(Begin(kKiller, "b"));
  EXPECT_TRUE(Refuses(kKiller));
}

TEST_F(PromptQuarantineTest, AnAnswerClears) {
  Die(Begin(kOther, "a"));
  Begin(kOther, "b")->OnAnswer();
  EXPECT_EQ(quarantine_.suspects(), 0u);
  Die(Begin(kOther, "b"));
  EXPECT_EQ(quarantine_.Ask(kOther), Leave::kGo);
}

// Both were at a worker that died: they are tried one after the other, in
// either order, and only the one at fault is convicted.
TEST_F(PromptQuarantineTest, SuspectsAreTriedOneAtATime) {
  for (const bool killer_first : {false, true}) {
    convicted_ = 0;
    Pass(2 * kQuarantineTime);
    Die(Begin(kKiller, "a"), Begin(kOther, "a"));
    EXPECT_EQ(quarantine_.suspects(), 2u);
    const PromptHash first = killer_first ? kKiller : kOther;
    std::unique_ptr<Stay> trial = Begin(first, "b");
    EXPECT_EQ(quarantine_.Ask(killer_first ? kOther : kKiller), Leave::kWait);
    EXPECT_EQ(quarantine_.Ask(kThird), Leave::kGo);  // nobody suspects it
    if (killer_first) {
      Die(std::move(trial));
      EXPECT_EQ(quarantine_.Ask(kOther), Leave::kGo);
      Begin(kOther, "c")->OnAnswer();
    } else {
      trial->OnAnswer();
      trial.reset();
      EXPECT_EQ(quarantine_.Ask(kKiller), Leave::kGo);
      Die(Begin(kKiller, "b"));
    }
    EXPECT_TRUE(Refuses(kKiller));
    EXPECT_EQ(convicted_, 1);
    EXPECT_EQ(quarantine_.suspects(), 1u);
  }
}

// Whoever was beside it, and is heard of before or after it, is not suspect.
TEST_F(PromptQuarantineTest, AConvictionExplainsTheDeath) {
  for (const bool killer_first : {false, true}) {
    Pass(2 * kQuarantineTime);
    Die(Begin(kKiller, "a"));
    std::unique_ptr<Stay> killer = Begin(kKiller, "b");
    std::unique_ptr<Stay> other = Begin(kOther, "b");
    if (!killer_first) killer.swap(other);
    Die(std::move(killer), std::move(other));
    EXPECT_TRUE(Refuses(kKiller));
    EXPECT_EQ(quarantine_.Ask(kOther), Leave::kGo);
    EXPECT_EQ(quarantine_.suspects(), 1u);
    // A later death of that worker is another one.
    Die(Begin(kThird, "b"));
    EXPECT_EQ(quarantine_.suspects(), 2u);
  }
  EXPECT_EQ(convicted_, 2);
}

// A trial that takes long lets others in; then it takes a third death.
TEST_F(PromptQuarantineTest, ALongTrialConvictsAtTheThirdDeath) {
  Die(Begin(kKiller, "a"), Begin(kOther, "a"));
  std::unique_ptr<Stay> killer = Begin(kKiller, "b");
  Pass(kTrialMax);
  EXPECT_EQ(quarantine_.Ask(kOther), Leave::kGo);
  Die(std::move(killer), Begin(kOther, "b"));
  EXPECT_EQ(quarantine_.Ask(kKiller), Leave::kGo);
  Begin(kOther, "c")->OnAnswer();
  Die(Begin(kKiller, "c"));
  EXPECT_TRUE(Refuses(kKiller));
  EXPECT_EQ(quarantine_.Ask(kOther), Leave::kGo);
}

TEST_F(PromptQuarantineTest, RemembersALimitedNumber) {
  for (uint64_t i = 0; i <= kSuspectsMax; ++i) {
    Die(Begin({0, i}, "a"));
  }
  EXPECT_EQ(quarantine_.suspects(), kSuspectsMax);
  Die(Begin({0, 0}, "b"));  // was forgotten
  EXPECT_EQ(quarantine_.Ask({0, 0}), Leave::kGo);
  Die(Begin({0, kSuspectsMax}, "b"));
  EXPECT_TRUE(Refuses({0, kSuspectsMax}));
}

}  // namespace
}  // namespace tandem
