#include "services/coordinator/client/turn_quotas.h"

#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include "engine/base/error_reason.h"
#include "services/coordinator/client/default_limits.h"
#include "tests/services/coordinator/fake_links.h"

namespace tandem {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class TurnQuotasTest : public ::testing::Test {
 protected:
  TurnQuotasTest() : loop_(&clock_) {}

  void Make(int64_t turns_max, const TenantLimits& limits) {
    limits_.emplace(limits);
    quotas_.emplace(&loop_, turns_max, &*limits_, 1);
  }
  absl::StatusOr<TurnAdmission> Admit(const std::string& tenant,
                                      int64_t tokens = 10) {
    return quotas_->Admit(
        {.tenant = tenant, .prompt_tokens = tokens, .charged_tokens = tokens});
  }
  void Wait(MonotonicDuration duration) {
    clock_.AdvanceTo(clock_.Now() + duration);
  }
  // The status names the tenant's quota.
  static void ExpectOverQuota(const absl::Status& status,
                              const std::string& what) {
    EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
    const std::optional<ErrorDetail> detail = GetErrorDetail(status);
    ASSERT_TRUE(detail.has_value());
    EXPECT_EQ(detail->reason, kReasonExhausted);
    ASSERT_EQ(detail->violations.size(), 1u);
    EXPECT_EQ(detail->violations[0].field, "tenant:a");
    EXPECT_EQ(detail->violations[0].description, what);
    EXPECT_TRUE(detail->retry_delay_ms.has_value());
  }

  FakeClock clock_;
  EventLoop loop_;
  std::optional<DefaultLimits> limits_;
  std::optional<TurnQuotas> quotas_;
};

TEST_F(TurnQuotasTest, PlacesAreShared) {
  Make(8, {});
  std::vector<TurnAdmission> turns;
  for (int i = 0; i < 8; ++i) turns.push_back(*Admit("a"));
  EXPECT_EQ(quotas_->turns(), 8);
  absl::Status full = Admit("b").status();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(GetErrorDetail(full)->violations.empty());
  // What becomes free is for the one that has nothing.
  turns.pop_back();
  EXPECT_EQ(quotas_->turns(), 7);
  EXPECT_FALSE(Admit("a").ok());
  EXPECT_TRUE(Admit("b").ok());
  turns.clear();
  EXPECT_EQ(quotas_->turns(), 0);
}

TEST_F(TurnQuotasTest, AMovedAdmissionCountsOnce) {
  Make(2, {});
  std::optional<TurnAdmission> turn = *Admit("a");
  turn = *Admit("a");  // in place of the first
  EXPECT_EQ(quotas_->turns(), 1);
  turn.reset();
  EXPECT_EQ(quotas_->turns(), 0);
}

TEST_F(TurnQuotasTest, TurnsOfATenant) {
  Make(100, {.turns_max = 2});
  std::optional<TurnAdmission> first = *Admit("a");
  const TurnAdmission second = *Admit("a");
  ExpectOverQuota(Admit("a").status(), "at most 2 turns at once");
  EXPECT_TRUE(Admit("b").ok());
  first.reset();
  EXPECT_TRUE(Admit("a").ok());
}

TEST_F(TurnQuotasTest, QueuedTokensUntilTheFirstToken) {
  Make(100, {.queued_tokens_max = 100});
  // One that is alone may be longer.
  TurnAdmission large = *Admit("a", 500);
  ExpectOverQuota(Admit("a", 1).status(),
                  "at most 100 tokens of prompts that wait");
  large.OnTokens(1);
  TurnAdmission small = *Admit("a", 60);
  EXPECT_FALSE(Admit("a", 60).ok());
  EXPECT_TRUE(Admit("a", 40).ok());
}

TEST_F(TurnQuotasTest, TokensAMinute) {
  Make(100, {.tokens_per_minute = 600});
  {
    TurnAdmission turn = *Admit("a", 100);
    turn.OnTaken();
    turn.OnTokens(300);
    turn.OnTokens(600);  // of the turn in all
  }
  // 100 below 0: 10 s at 10 a second.
  const absl::Status status = Admit("a").status();
  ExpectOverQuota(status, "at most 600 tokens a minute");
  EXPECT_GE(*GetErrorDetail(status)->retry_delay_ms, 10000);
  EXPECT_LE(*GetErrorDetail(status)->retry_delay_ms, 16000);
  EXPECT_TRUE(Admit("b").ok());
  Wait(seconds(9));
  EXPECT_FALSE(Admit("a").ok());
  Wait(seconds(2));
  EXPECT_TRUE(Admit("a").ok());
  // Not more than one minute's is saved up.
  Wait(seconds(600));
  Admit("a", 601)->OnTaken();
  EXPECT_FALSE(Admit("a").ok());
}

TEST_F(TurnQuotasTest, ATurnThatGoesOnIsNotChargedAgain) {
  Make(100, {.tokens_per_minute = 600});
  TurnAdmission turn = *quotas_->Admit(
      {.tenant = "a", .prompt_tokens = 5000, .generated_before = 4000});
  turn.OnTokens(4100);
  EXPECT_TRUE(Admit("a").ok());
  turn.OnTokens(4600);
  EXPECT_FALSE(Admit("a").ok());
}

TEST_F(TurnQuotasTest, ATurnThatNoWorkerTookGivesItsPromptBack) {
  Make(100, {.tokens_per_minute = 600});
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(Admit("a", 601).ok());
  {
    TurnAdmission turn = *Admit("a", 601);
    EXPECT_FALSE(Admit("a").ok());  // while it may still run
    turn.OnTaken();
  }
  EXPECT_FALSE(Admit("a").ok());
  // Nothing beyond a minute's is given back.
  Wait(seconds(600));
  {
    const TurnAdmission turn = *Admit("a", 600);
    Wait(seconds(60));
  }
  Admit("a", 601)->OnTaken();
  EXPECT_FALSE(Admit("a").ok());
}

TEST_F(TurnQuotasTest, ALongWaitIsADayAtMost) {
  Make(100, {.tokens_per_minute = 1});
  Admit("a", int64_t{1} << 40)->OnTaken();
  const absl::Status status = Admit("a").status();
  ExpectOverQuota(status, "at most 1 tokens a minute");
  EXPECT_GE(*GetErrorDetail(status)->retry_delay_ms, 86400000);
  EXPECT_LE(*GetErrorDetail(status)->retry_delay_ms, 86400000 * 3 / 2);
}

TEST_F(TurnQuotasTest, AnAccountIsKeptUntilItIsFull) {
  Make(100, {.tokens_per_minute = 600});
  Admit("a", 6000)->OnTaken();  // 9 minutes below 0
  Wait(seconds(300));
  EXPECT_TRUE(Admit("b").ok());  // a look at what can be forgotten
  EXPECT_FALSE(Admit("a").ok());
}

// A limit that comes by a reload does not owe for what was free.
TEST_F(TurnQuotasTest, NothingIsOwedWithoutALimit) {
  class Changing : public TenantLimitsSource {
   public:
    TenantLimits LimitsOf(absl::string_view) const override { return limits; }
    TenantLimits limits;
  } limits;
  TurnQuotas quotas(&loop_, 10, &limits, 1);
  for (int i = 0; i < 3; ++i) {
    quotas
        .Admit(
            {.tenant = "a", .prompt_tokens = 100000, .charged_tokens = 100000})
        ->OnTaken();
  }
  EXPECT_TRUE(quotas.Admit({.tenant = "a"}).ok());
  limits.limits.tokens_per_minute = 60;
  Wait(seconds(1));
  EXPECT_TRUE(quotas.Admit({.tenant = "a"}).ok());
}

// One that is refused again and again stands in a line of its own.
TEST_F(TurnQuotasTest, ATenantsRefusalsKeepNoOtherWaiting) {
  Make(2, {});
  for (int i = 0; i < 100; ++i) {  // one a second
    Admit(i % 2 == 0 ? "a" : "b")->OnTokens(1);
    Wait(seconds(1));
  }
  const auto told = [this](const std::string& tenant) {
    const absl::Status status =
        quotas_->WithReturnTime(tenant, Exhausted("full", 100));
    return milliseconds(*GetErrorDetail(status)->retry_delay_ms);
  };
  EXPECT_GE(told("a"), milliseconds(1500));  // each second turn is its own
  for (int i = 0; i < 100; ++i) told("a");
  EXPECT_GE(told("a"), seconds(20));
  EXPECT_LE(told("b"), milliseconds(3500));
}

TEST_F(TurnQuotasTest, RefusalsGetTimesToComeBack) {
  Make(1, {});
  const absl::Status spread =
      quotas_->WithReturnTime("a", Exhausted("full", 2000));
  EXPECT_EQ(spread.message(), "full");
  EXPECT_GE(*GetErrorDetail(spread)->retry_delay_ms, 2000);
  EXPECT_LE(*GetErrorDetail(spread)->retry_delay_ms, 3000);
  EXPECT_TRUE(GetErrorDetail(quotas_->WithReturnTime("a", Exhausted("full")))
                  ->retry_delay_ms.has_value());
  // Of sessions, whose store knows no time.
  const absl::Status sessions =
      quotas_->WithReturnTime("a", OverQuota("a", "1 sessions", std::nullopt));
  ExpectOverQuota(sessions, "at most 1 sessions");
  EXPECT_GE(*GetErrorDetail(sessions)->retry_delay_ms, 1000);
  EXPECT_LE(*GetErrorDetail(sessions)->retry_delay_ms, 1500);
  // Others stay as they are; a quota has the tenant's own time.
  for (const absl::Status& status :
       {absl::OkStatus(), Draining("x"),
        OverQuota("a", "1 turn", milliseconds(5))}) {
    EXPECT_EQ(quotas_->WithReturnTime("a", status), status);
  }
}

}  // namespace
}  // namespace tandem
