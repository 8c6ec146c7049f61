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
  SessionStoreTest() : first_(&clock_), second_(&clock_) {}
  void OnTakenOver() override {}

  FakeClock clock_;
  EventLoop first_;
  EventLoop second_;
};

TEST(SessionIdTest, Is128RandomBitsInHexadecimal) {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(DrawSessionId());
  EXPECT_EQ(ids.size(), 1000u);
  for (const std::string& id : ids) {
    EXPECT_THAT(id, ::testing::MatchesRegex("[0-9a-f]{32}"));
  }
}

TEST_F(SessionStoreTest, FindsASessionOnItsLoop) {
  SessionStore store({&first_, &second_}, {});
  for (EventLoop* loop : {&first_, &second_}) {
    const auto session = store.Create(loop, "tenant");
    ASSERT_TRUE(session.ok());
    EXPECT_EQ(store.LoopOf((*session)->id()), loop);
    const auto found = store.Find((*session)->id(), "tenant");
    ASSERT_TRUE(found.ok());
    EXPECT_EQ(*found, *session);
  }
  EXPECT_EQ(store.size(), 2);
}

TEST_F(SessionStoreTest, AForeignSessionLooksLikeNone) {
  SessionStore store({&first_}, {});
  const std::string id = (*store.Create(&first_, "tenant"))->id();
  const absl::Status foreign = store.Find(id, "another").status();
  const absl::Status none = store.Find(DrawSessionId(), "tenant").status();
  EXPECT_EQ(foreign.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(GetErrorDetail(foreign)->reason, kReasonUnknownSession);
  EXPECT_EQ(foreign, none);
  EXPECT_EQ(store.Find("", "tenant").status(), none);
}

TEST_F(SessionStoreTest, RefusesMoreThanItsLimit) {
  SessionStore store({&first_, &second_}, {.sessions_max = 2});
  Session* const session = *store.Create(&first_, "tenant");
  ASSERT_TRUE(store.Create(&second_, "tenant").ok());
  const absl::Status full = store.Create(&second_, "tenant").status();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorDetail(full)->reason, kReasonExhausted);
  store.Remove(session);
  EXPECT_EQ(store.size(), 1);
  EXPECT_TRUE(store.Create(&second_, "tenant").ok());
}

TEST_F(SessionStoreTest, IdleSessionsExpire) {
  SessionStore store({&first_}, {.sessions_max = 10, .idle = seconds(60)});
  Session* const held = *store.Create(&first_, "tenant");
  held->Hold(this);
  const std::string idle = (*store.Create(&first_, "tenant"))->id();
  for (int i = 0; i < 50; ++i) {
    clock_.AdvanceTo(clock_.Now() + seconds(1));
    first_.RunReady();
  }
  EXPECT_TRUE(store.Find(idle, "tenant").ok());
  for (int i = 0; i < 30; ++i) {
    clock_.AdvanceTo(clock_.Now() + seconds(1));
    first_.RunReady();
  }
  EXPECT_FALSE(store.Find(idle, "tenant").ok());
  ASSERT_TRUE(store.Find(held->id(), "tenant").ok());  // a turn is under way
  held->LetGo(clock_.Now());
  for (int i = 0; i < 80; ++i) {
    clock_.AdvanceTo(clock_.Now() + seconds(1));
    first_.RunReady();
  }
  EXPECT_EQ(store.size(), 0);
  EXPECT_EQ(first_.NextTimer(), std::nullopt);  // no session, no timer
}

}  // namespace
}  // namespace tandem
