#include "services/coordinator/client/session_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "engine/base/error_reason.h"
#include "tests/services/coordinator/fake_links.h"

namespace tandem {
namespace {

using std::chrono::seconds;

class SessionStoreTest : public ::testing::Test, public SessionHolder {
 protected:
  SessionStoreTest() : loop_(&clock_) {}
  bool opens_turn() const override { return false; }
  void OnTakenOver() override {}
  void RunSeconds(int count) {
    for (int i = 0; i < count; ++i) {
      clock_.AdvanceTo(clock_.Now() + seconds(1));
      loop_.RunReady();
    }
  }

  FakeClock clock_;
  EventLoop loop_;
};

TEST(SessionIdTest, Is128RandomBitsInHexadecimal) {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(DrawSessionId());
  EXPECT_EQ(ids.size(), 1000u);
  for (const std::string& id : ids) {
    EXPECT_THAT(id, ::testing::MatchesRegex("[0-9a-f]{32}"));
  }
}

TEST_F(SessionStoreTest, FindsWhatItHas) {
  SessionStore store(&loop_, {});
  for (int i = 0; i < 2; ++i) {
    Session* const session = *store.Create("tenant");
    const auto found = store.Find(session->id(), "tenant");
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(*found, session);
  }
  EXPECT_EQ(store.size(), 2);
}

TEST_F(SessionStoreTest, AForeignSessionLooksLikeNone) {
  SessionStore store(&loop_, {});
  const std::string id = (*store.Create("tenant"))->id();
  const absl::Status foreign = store.Find(id, "another").status();
  const absl::Status none = store.Find(DrawSessionId(), "tenant").status();
  EXPECT_EQ(foreign.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(GetErrorDetail(foreign)->reason, kReasonUnknownSession);
  EXPECT_EQ(foreign, none);
  EXPECT_EQ(store.Find("", "tenant").status(), none);
}

TEST_F(SessionStoreTest, RefusesMoreThanItsLimit) {
  SessionStore store(&loop_, {.sessions_max = 2});
  Session* const session = *store.Create("tenant");
  ASSERT_TRUE(store.Create("tenant").ok());
  const absl::Status full = store.Create("tenant").status();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorDetail(full)->reason, kReasonExhausted);
  store.Remove(session);
  EXPECT_EQ(store.size(), 1);
  EXPECT_TRUE(store.Create("tenant").ok());
}

TEST_F(SessionStoreTest, IdleSessionsExpire) {
  SessionStore store(&loop_, {.sessions_max = 10, .idle = seconds(60)});
  Session* const held = *store.Create("tenant");
  held->Hold(this);
  const std::string idle = (*store.Create("tenant"))->id();
  RunSeconds(50);
  EXPECT_TRUE(store.Find(idle, "tenant").ok());
  RunSeconds(30);
  EXPECT_FALSE(store.Find(idle, "tenant").ok());
  ASSERT_TRUE(store.Find(held->id(), "tenant").ok());  // a turn is under way
  held->LetGo(clock_.Now());
  RunSeconds(80);
  EXPECT_EQ(store.size(), 0);
  EXPECT_EQ(loop_.NextTimer(), std::nullopt);  // no session, no timer
}

}  // namespace
}  // namespace tandem
