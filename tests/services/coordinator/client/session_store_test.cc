#include "services/coordinator/client/session_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/base/error_reason.h"
#include "tests/services/coordinator/fake_links.h"

namespace tandem {
namespace {

using std::chrono::seconds;

// Every tenant has these limits.
class SameLimits : public TenantLimitsSource {
 public:
  TenantLimits LimitsOf(absl::string_view /*tenant*/) const override {
    return limits;
  }
  TenantLimits limits;
};

class SessionStoreTest : public ::testing::Test, public SessionHolder {
 protected:
  SessionStoreTest() : loop_(&clock_) {}
  bool opens_turn() const override { return false; }
  void OnLost(const absl::Status& why) override {
    EXPECT_EQ(GetErrorDetail(why)->reason, kReasonUnknownSession);
    ++forgotten_;
    store_->LetGo(held_);
  }
  SessionStore& Make(const SessionLimits& limits) {
    return store_.emplace(&loop_, limits, &tenants_, &budget_);
  }
  // The new session's id; "" where there is no place.
  std::string Create(const std::string& tenant,
                     SessionUse use = SessionUse::kConversation) {
    RunSeconds(1);  // one is older than the next
    const absl::StatusOr<Session*> made = store_->Create(tenant, use);
    return made.ok() ? (*made)->id() : "";
  }
  bool Has(const std::string& id, const std::string& tenant) {
    return store_->Find(id, tenant).ok();
  }
  void Hold(const std::string& id, const std::string& tenant) {
    held_ = *store_->Find(id, tenant);
    store_->Hold(held_, this);
  }
  void RunSeconds(int count) {
    for (int i = 0; i < count; ++i) {
      clock_.AdvanceTo(clock_.Now() + seconds(1));
      loop_.RunReady();
    }
  }

  FakeClock clock_;
  EventLoop loop_;
  SameLimits tenants_;
  MemoryBudget budget_{int64_t{1} << 30, &clock_};
  std::optional<SessionStore> store_;
  Session* held_ = nullptr;  // last
  int forgotten_ = 0;
};

TEST(SessionIdTest, Is128RandomBitsInHexadecimal) {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(DrawSessionId());
  EXPECT_EQ(ids.size(), 1000u);
  for (const std::string& id : ids) {
    EXPECT_THAT(id, ::testing::MatchesRegex("[0-9a-f]{32}"));
  }
}

TEST_F(SessionStoreTest, FindsASessionWhoeverHasIt) {
  Make({});
  const std::string id = Create("a");
  ASSERT_NE(store_->FindAny(id), nullptr);
  EXPECT_EQ(store_->FindAny(id)->tenant(), "a");
  EXPECT_EQ(store_->FindAny("0"), nullptr);
}

TEST_F(SessionStoreTest, FindsWhatItHas) {
  SessionStore& store = Make({});
  for (int i = 0; i < 2; ++i) {
    Session* const session = *store.Create("tenant", SessionUse::kOneShot);
    EXPECT_EQ(session->use(), SessionUse::kOneShot);
    const auto found = store.Find(session->id(), "tenant");
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(*found, session);
  }
  EXPECT_EQ(store.size(), 2);
}

TEST_F(SessionStoreTest, AForeignSessionLooksLikeNone) {
  SessionStore& store = Make({});
  const std::string id = Create("tenant");
  const absl::Status foreign = store.Find(id, "another").status();
  const absl::Status none = store.Find(DrawSessionId(), "tenant").status();
  EXPECT_EQ(foreign.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(GetErrorDetail(foreign)->reason, kReasonUnknownSession);
  EXPECT_EQ(foreign, none);
  EXPECT_EQ(store.Find("", "tenant").status(), none);
}

TEST_F(SessionStoreTest, AtItsLimitTheLeastUsefulGoes) {
  Make({.sessions_max = 3});
  const std::string oldest = Create("a");
  const std::string one_shot = Create("a", SessionUse::kOneShot);
  const std::string newer_one_shot = Create("a", SessionUse::kOneShot);
  const std::string fourth = Create("a");
  EXPECT_FALSE(Has(one_shot, "a"));
  const std::string fifth = Create("a");
  EXPECT_FALSE(Has(newer_one_shot, "a"));
  EXPECT_TRUE(Has(oldest, "a"));
  Create("a");
  EXPECT_FALSE(Has(oldest, "a"));
  EXPECT_TRUE(Has(fourth, "a"));
  EXPECT_TRUE(Has(fifth, "a"));
  EXPECT_EQ(store_->size(), 3);
}

TEST_F(SessionStoreTest, TheTenantWithMostLosesItsOwn) {
  Make({.sessions_max = 4});
  const std::string few = Create("few");
  std::vector<std::string> many;
  for (int i = 0; i < 3; ++i) many.push_back(Create("many"));
  // The flood costs its own tenant, a newcomer's session costs the flood.
  many.push_back(Create("many"));
  EXPECT_FALSE(Has(many[0], "many"));
  EXPECT_NE(Create("few"), "");
  EXPECT_FALSE(Has(many[1], "many"));
  EXPECT_TRUE(Has(few, "few"));
}

TEST_F(SessionStoreTest, ASessionWithATurnStays) {
  Make({.sessions_max = 2});
  const std::string few = Create("few");
  const std::string held = Create("many");
  Hold(held, "many");
  // Its only session has a turn, and another tenant's does not go for a tenant
  // that has as many.
  const absl::Status full =
      store_->Create("many", SessionUse::kOneShot).status();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorDetail(full)->reason, kReasonExhausted);
  EXPECT_TRUE(Has(few, "few"));
  store_->LetGo(*store_->Find(held, "many"));
  EXPECT_NE(Create("many"), "");
  EXPECT_FALSE(Has(held, "many"));
}

TEST_F(SessionStoreTest, ASessionThatIsSetAsideMayGo) {
  Make({.sessions_max = 1});
  const std::string held = Create("many");
  Hold(held, "many");
  store_->SetAside(held_);
  EXPECT_TRUE(Has(held, "many"));
  EXPECT_EQ(forgotten_, 0);
  EXPECT_NE(Create("few"), "");
  EXPECT_EQ(forgotten_, 1);
  EXPECT_FALSE(Has(held, "many"));
  EXPECT_EQ(store_->size(), 1);
}

TEST_F(SessionStoreTest, ASessionThatIsHeldAgainStays) {
  Make({.sessions_max = 1});
  const std::string held = Create("many");
  Hold(held, "many");
  store_->SetAside(held_);
  Hold(held, "many");
  EXPECT_EQ(Create("few"), "");
  EXPECT_EQ(forgotten_, 0);
  // Let go, it stands among the idle ones once.
  store_->SetAside(held_);
  RunSeconds(1);
  store_->LetGo(held_);
  EXPECT_NE(Create("few"), "");
  EXPECT_EQ(forgotten_, 0);
  EXPECT_EQ(store_->size(), 1);
}

TEST_F(SessionStoreTest, ASessionThatIsSetAsideExpires) {
  Make({.idle = seconds(60)});
  const std::string held = Create("tenant");
  Hold(held, "tenant");
  store_->SetAside(held_);
  for (int i = 0; i < 8; ++i) {
    RunSeconds(10);
    // Its time does not begin anew.
    if (Has(held, "tenant")) store_->SetAside(held_);
  }
  EXPECT_EQ(forgotten_, 1);
  EXPECT_EQ(store_->size(), 0);
}

TEST_F(SessionStoreTest, ATenantsOwnLimit) {
  tenants_.limits.sessions_max = 2;
  Make({.sessions_max = 100});
  const std::string first = Create("a");
  const std::string second = Create("a");
  const std::string third = Create("a");
  EXPECT_FALSE(Has(first, "a"));
  EXPECT_NE(Create("b"), "");
  Hold(second, "a");
  Hold(third, "a");
  const absl::Status full = store_->Create("a", SessionUse::kOneShot).status();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  ASSERT_EQ(GetErrorDetail(full)->violations.size(), 1u);
  EXPECT_EQ(GetErrorDetail(full)->violations[0].description,
            "at most 2 sessions");
  // When to come back is the quotas' to say.
  EXPECT_FALSE(GetErrorDetail(full)->retry_delay_ms.has_value());
  EXPECT_EQ(store_->size(), 3);
}

TEST_F(SessionStoreTest, MemoryIsCountedAndGivenBack) {
  Make({});
  const std::string id = Create("a");
  EXPECT_GT(budget_.bytes(MemoryKind::kSessions), 0);
  EXPECT_EQ(budget_.UsedBy("a"), budget_.bytes(MemoryKind::kSessions));
  store_->Remove(*store_->Find(id, "a"));
  EXPECT_EQ(budget_.bytes(MemoryKind::kSessions), 0);
  Create("a");
  store_.reset();
  EXPECT_EQ(budget_.bytes(MemoryKind::kSessions), 0);
}

TEST_F(SessionStoreTest, IdleSessionsGoForMemory) {
  Make({});
  const std::string few = Create("few");
  std::vector<std::string> many;
  for (int i = 0; i < 10; ++i) many.push_back(Create("many"));
  const int64_t each = budget_.UsedBy("few");
  // Room for one more.
  budget_.SetShared(MemoryKind::kTokenizers, budget_.bytes_max() - 12 * each);
  EXPECT_NE(Create("few"), "");
  EXPECT_TRUE(Has(many[0], "many"));
  EXPECT_NE(Create("few"), "");
  EXPECT_FALSE(Has(many[0], "many"));
  EXPECT_TRUE(Has(few, "few"));
  // For a text too.
  store_->MakeRoom("few", 3 * each);
  EXPECT_TRUE(budget_.HasRoom("few", 3 * each));
  EXPECT_TRUE(Has(few, "few"));
  // A tenant that has most gets nothing of the others'.
  store_->MakeRoom("many", 100 * each);
  EXPECT_TRUE(Has(few, "few"));
}

TEST_F(SessionStoreTest, AtTheBoundOfMemoryNewSessionsAreRefused) {
  Make({});
  const std::string held = Create("a");
  Hold(held, "a");
  budget_.SetShared(MemoryKind::kTokenizers, budget_.bytes_max() - 10);
  EXPECT_EQ(store_->Create("a", SessionUse::kOneShot).status().code(),
            absl::StatusCode::kResourceExhausted);
  // What runs goes on; idle again, it goes soon, since memory is over.
  store_->LetGo(*store_->Find(held, "a"));
  EXPECT_TRUE(Has(held, "a"));
  loop_.RunReady();
  EXPECT_FALSE(Has(held, "a"));
  EXPECT_EQ(budget_.bytes(MemoryKind::kSessions), 0);
}

TEST_F(SessionStoreTest, IdleSessionsExpire) {
  SessionStore& store = Make({.idle = seconds(60)});
  const std::string held = Create("tenant");
  Hold(held, "tenant");
  const std::string idle = Create("tenant");
  RunSeconds(50);
  EXPECT_TRUE(Has(idle, "tenant"));
  RunSeconds(30);
  EXPECT_FALSE(Has(idle, "tenant"));
  ASSERT_TRUE(Has(held, "tenant"));  // a turn is under way
  store.LetGo(*store.Find(held, "tenant"));
  RunSeconds(80);
  EXPECT_EQ(store.size(), 0);
  EXPECT_EQ(loop_.NextTimer(), std::nullopt);  // no session, no timer
}

TEST_F(SessionStoreTest, OneShotsExpireSooner) {
  SessionStore& store =
      Make({.idle = seconds(600), .one_shot_idle = seconds(60)});
  const std::string one_shot = Create("tenant", SessionUse::kOneShot);
  const std::string conversation = Create("tenant");
  const std::string grown = Create("tenant", SessionUse::kOneShot);
  Hold(grown, "tenant");
  (*store.Find(grown, "tenant"))->SetConversation();
  store.LetGo(*store.Find(grown, "tenant"));
  RunSeconds(50);
  EXPECT_TRUE(Has(one_shot, "tenant"));
  RunSeconds(30);
  EXPECT_FALSE(Has(one_shot, "tenant"));
  EXPECT_TRUE(Has(conversation, "tenant"));
  EXPECT_TRUE(Has(grown, "tenant"));
}

TEST_F(SessionStoreTest, ADroppedSessionGoesWhateverItDoes) {
  SessionStore& store = Make({});
  const std::string idle = Create("a");
  const std::string held = Create("a");
  Hold(held, "a");
  EXPECT_EQ(store.Held().size(), 1u);
  EXPECT_EQ(store.Held()[0]->id(), held);
  const absl::Status why = MakeError(absl::StatusCode::kNotFound,
                                     {.reason = kReasonUnknownSession}, "gone");
  store.Drop(*store.Find(idle, "a"), why);
  EXPECT_EQ(forgotten_, 0);
  store.Drop(*store.Find(held, "a"), why);
  EXPECT_EQ(forgotten_, 1);
  EXPECT_TRUE(store.Held().empty());
  EXPECT_EQ(store.size(), 0);
  EXPECT_EQ(budget_.UsedBy("a"), 0);
}

TEST_F(SessionStoreTest, ASessionMayHaveItsIdAlready) {
  SessionStore& store = Make({.sessions_max = 1});
  const std::string id = DrawSessionId();
  ASSERT_TRUE(store.Add(id, "a", SessionUse::kOneShot).ok());
  EXPECT_TRUE(Has(id, "a"));
  Hold(id, "a");
  // The bounds are those of a new one.
  EXPECT_EQ(
      store.Add(DrawSessionId(), "b", SessionUse::kOneShot).status().code(),
      absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace tandem
