#include "engine/model/memory_account.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/check.h"
#include "tests/engine/base/fake_system.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

// 32 KiB a page, 64 MiB of KV a context.
ModelNeeds Needs(const std::string& model) {
  return {.model = model,
          .weight_bytes = kGiB,
          .page_bytes = 32 << 10,
          .positions_per_page = 32,
          .context = 65536};
}

class MemoryAccountTest : public ::testing::Test {
 protected:
  absl::StatusOr<MemoryPlan> Take(MemoryAccount* account,
                                  const std::string& model) {
    const ModelNeeds needs = Needs(model);
    return account->Take(absl::MakeConstSpan(&needs, 1));
  }

  const FakeSystem system_;
  MemoryAccountOptions options_ = {
      .reservation_folder = system_.root() + "/reservations",
      .root = system_.root()};
};

TEST_F(MemoryAccountTest, LaterModelsGetWhatIsLeft) {
  system_.SetGroup2("/a", 3 * kGiB);
  MemoryAccount account(options_);
  EXPECT_EQ(account.problem(), "");
  ASSERT_TRUE(Take(&account, "a").ok());
  const int64_t one = account.planned_bytes();
  EXPECT_EQ(one, kGiB + 4 * 64 * kMiB);
  ASSERT_TRUE(Take(&account, "b").ok());
  EXPECT_EQ(account.planned_bytes(), 2 * one);
  EXPECT_FALSE(Take(&account, "c").ok());
  EXPECT_EQ(account.planned_bytes(), 2 * one) << "nothing was taken";
  account.Release("a");
  account.Release("a");
  account.Release("unknown");
  EXPECT_EQ(account.planned_bytes(), one);
  const ModelNeeds needs = Needs("c");
  EXPECT_TRUE(account.Try(absl::MakeConstSpan(&needs, 1)).ok());
  EXPECT_EQ(account.planned_bytes(), one);
  EXPECT_TRUE(Take(&account, "c").ok());
}

// Another plan for a model that is there replaces what it had.
TEST_F(MemoryAccountTest, AModelThatIsThereCountsOnce) {
  system_.SetGroup2("/a", 2 * kGiB);
  MemoryAccount account(options_);
  const absl::StatusOr<MemoryPlan> first = Take(&account, "a");
  ASSERT_TRUE(first.ok()) << first.status();
  const int64_t one = account.planned_bytes();
  const absl::StatusOr<MemoryPlan> again = Take(&account, "a");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->room_bytes, first->room_bytes);
  EXPECT_EQ(account.planned_bytes(), one);
}

// Worker 1 in /a/x, worker 2 in /a/y, which only obeys the limit of /a.
TEST_F(MemoryAccountTest, ProcessesInGroupsSideBySide) {
  system_.SetGroup2("/a", 4 * kGiB);
  system_.SetGroup2("/a/x", 3 * kGiB);
  MemoryAccount first(options_);
  ModelNeeds needs = Needs("first");
  needs.weight_bytes = 5 * kGiB / 2;
  ASSERT_TRUE(first.Take(absl::MakeConstSpan(&needs, 1)).ok());
  EXPECT_GT(first.planned_bytes(), 5 * kGiB / 2);
  system_.Write("/proc/self/cgroup", "0::/a/y\n");
  MemoryAccount second(options_);
  needs = Needs("second");
  needs.weight_bytes = 2 * kGiB;
  EXPECT_FALSE(second.Take(absl::MakeConstSpan(&needs, 1)).ok());
  needs.weight_bytes = kGiB;
  EXPECT_TRUE(second.Take(absl::MakeConstSpan(&needs, 1)).ok());
}

// Two workers on one machine, in the order of the README: the second one sees
// what the first has reserved, though nothing of it is used yet.
TEST_F(MemoryAccountTest, ProcessesLeaveEachOtherRoom) {
  system_.SetAvailable(3 * kGiB);
  int ready[2];
  TANDEM_CHECK(pipe(ready) == 0);
  const pid_t first = fork();
  if (first == 0) {
    MemoryAccount account(options_);
    const bool done = Take(&account, "target").ok();
    (void)!write(ready[1], done ? "y" : "n", 1);
    while (true) pause();
  }
  char answer = 0;
  ASSERT_EQ(read(ready[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  MemoryAccount account(options_);
  const absl::StatusOr<MemoryPlan> second = Take(&account, "draft");
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_THAT(second->limit, HasSubstr("reserved by 1 other processes"));
  // 3 GiB are there in all.
  EXPECT_LT(second->room_bytes, 2 * kGiB - 4 * 64 * kMiB);
  EXPECT_FALSE(Take(&account, "third").ok());
  kill(first, SIGKILL);
  waitpid(first, nullptr, 0);
  EXPECT_TRUE(Take(&account, "third").ok()) << "the first one is gone";
}

TEST_F(MemoryAccountTest, WorksWithoutAFolder) {
  system_.SetAvailable(3 * kGiB);
  options_.reservation_folder = "/proc/no/folder";
  MemoryAccount account(options_);
  EXPECT_THAT(account.problem(), HasSubstr("/proc/no/folder"));
  EXPECT_TRUE(Take(&account, "a").ok());
  account.Release("a");
}

TEST_F(MemoryAccountTest, TheProcessesOwnBound) {
  system_.SetAvailable(300 * kGiB);
  options_.process_bytes_max = 2 * kGiB;
  MemoryAccount account(options_);
  const absl::StatusOr<MemoryPlan> plan = Take(&account, "a");
  ASSERT_TRUE(plan.ok());
  EXPECT_THAT(plan->limit, HasSubstr("--memory-max-bytes"));
  EXPECT_FALSE(Take(&account, "b").ok());
}

}  // namespace
}  // namespace tandem
