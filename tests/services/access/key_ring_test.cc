#include "services/access/key_ring.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <string>
#include <thread>

#include "engine/base/monotonic_clock.h"
#include "tests/engine/base/wall_clock.h"
#include "tests/services/access/key_files.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

class KeyRingTest : public ::testing::Test {
 protected:
  KeyRingTest() : file_(OneTenantFile("alice", HashOfApiKey(key_))) {}

  void Open(absl::Duration poll = absl::Hours(1)) {
    auto ring = KeyRing::Open({.path = file_.path(), .poll = poll});
    ASSERT_TRUE(ring.ok()) << ring.status();
    ring_ = *std::move(ring);
  }
  template <typename Predicate>
  static void WaitFor(Predicate done) {
    while (!done()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }

  const std::string key_ = DrawApiKey();
  const std::string other_ = DrawApiKey();
  const TemporaryKeyFile file_;
  std::unique_ptr<KeyRing> ring_;
};

TEST_F(KeyRingTest, FindsTheHolderOfAKey) {
  Open();
  const auto holder = ring_->Find(key_);
  ASSERT_TRUE(holder.has_value());
  EXPECT_EQ(holder->tenant, "alice");
  EXPECT_EQ(holder->scopes, std::set<Scope>{Scope::kGenerate});
  EXPECT_EQ(holder->expires, absl::InfiniteFuture());
  for (const std::string& wrong :
       {std::string(), other_, key_ + "x", HashOfApiKey(key_)}) {
    EXPECT_FALSE(ring_->Find(wrong).has_value()) << wrong;
  }
}

TEST_F(KeyRingTest, OfSeveralKeysEachHasItsHolder) {
  KeyFile content = OneTenantFile("alice", HashOfApiKey(key_));
  content.tenants[0].limits.turns_max = 7;
  KeyFile more = OneTenantFile("bob", HashOfApiKey(other_), {Scope::kMetrics});
  more.tenants[0].keys[0].expires = absl::UnixEpoch();
  content.tenants.push_back(more.tenants[0]);
  file_.Replace(content);
  Open();
  EXPECT_EQ(ring_->Find(key_)->tenant, "alice");
  EXPECT_EQ(ring_->Find(other_)->tenant, "bob");
  EXPECT_EQ(ring_->Find(other_)->expires, absl::UnixEpoch());
  EXPECT_EQ(ring_->LimitsOf("alice").turns_max, 7);
  EXPECT_EQ(ring_->LimitsOf("bob"), KeyLimits());
  EXPECT_EQ(ring_->LimitsOf("carol"), KeyLimits());
}

TEST_F(KeyRingTest, ReloadTakesTheNewFile) {
  Open();
  file_.Replace(OneTenantFile("alice", HashOfApiKey(other_)));
  EXPECT_TRUE(ring_->Find(key_).has_value());
  EXPECT_TRUE(ring_->Reload().ok());
  EXPECT_FALSE(ring_->Find(key_).has_value());
  EXPECT_TRUE(ring_->Find(other_).has_value());
  EXPECT_FALSE(ring_->is_refused());
}

TEST_F(KeyRingTest, ABadFileLeavesTheKeysOfBefore) {
  Open();
  file_.Replace("{");
  EXPECT_THAT(std::string(ring_->Reload().message()),
              HasSubstr("keys.json:1: is not JSON"));
  EXPECT_TRUE(ring_->Find(key_).has_value());
  EXPECT_TRUE(ring_->is_refused());
  ASSERT_EQ(std::remove(file_.path().c_str()), 0);
  EXPECT_FALSE(ring_->Reload().ok());
  EXPECT_TRUE(ring_->Find(key_).has_value());
  EXPECT_TRUE(ring_->is_refused());
  file_.Replace(OneTenantFile("alice", HashOfApiKey(other_)));
  EXPECT_TRUE(ring_->Reload().ok());
  EXPECT_FALSE(ring_->is_refused());
  EXPECT_FALSE(ring_->Find(key_).has_value());
}

TEST_F(KeyRingTest, SeesAChangeByItself) {
  Open(absl::Milliseconds(5));
  file_.Replace(OneTenantFile("alice", HashOfApiKey(other_)));
  WaitFor([this] { return ring_->Find(other_).has_value(); });
  EXPECT_FALSE(ring_->Find(key_).has_value());
  // A file that others may write is refused, and taken once they may not.
  ASSERT_EQ(chmod(file_.path().c_str(), 0666), 0);
  WaitFor([this] { return ring_->is_refused(); });
  EXPECT_TRUE(ring_->Find(other_).has_value());
  ASSERT_EQ(chmod(file_.path().c_str(), 0600), 0);
  WaitFor([this] { return !ring_->is_refused(); });
}

TEST_F(KeyRingTest, TheWallClockMayBeSetMeanwhile) {
  // For the kernel, which waits by its own clock, this is set back later.
  const SetWallClock ahead(absl::Hours(1));
  Open(absl::Milliseconds(5));
  file_.Replace(OneTenantFile("alice", HashOfApiKey(other_)));
  const absl::Time begin = MonotonicNow();
  WaitFor([&] {
    return ring_->Find(other_).has_value() ||
           MonotonicNow() > begin + absl::Seconds(30);
  });
  EXPECT_FALSE(ring_->Find(key_).has_value()) << "it was revoked";
}

TEST_F(KeyRingTest, DoesNotOpenABadFile) {
  file_.Replace("");
  const absl::Status status = KeyRing::Open({.path = file_.path()}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("keys.json: is empty"));
}

}  // namespace
}  // namespace tandem
