#include "engine/base/thread_team.h"

#include <gtest/gtest.h>
#include <immintrin.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace tandem {
namespace {

TEST(ThreadTeamTest, EveryMemberRunsOnceARegion) {
  for (const int size : {1, 2, 3, 5}) {
    ThreadTeam team(size);
    ASSERT_EQ(team.size(), size);
    std::vector<int> runs(size, 0);  // one writer each
    for (int region = 0; region < 2000; ++region) {
      team.Run([&](int member) { ++runs[member]; });
    }
    for (const int count : runs) EXPECT_EQ(count, 2000);
  }
}

TEST(ThreadTeamTest, RunReturnsAfterAllAreDone) {
  ThreadTeam team(3);
  for (int region = 0; region < 50; ++region) {
    std::atomic<int> done{0};
    team.Run([&](int member) {
      if (member != 0) {
        std::this_thread::sleep_for(std::chrono::microseconds(200));
      }
      done.fetch_add(1);
    });
    ASSERT_EQ(done.load(), 3);
  }
}

TEST(ThreadTeamTest, ParallelForCoversEachIndexOnceInGrains) {
  for (const int size : {1, 2, 4}) {
    ThreadTeam team(size);
    for (const int64_t count : {0, 1, 15, 16, 17, 100, 1000}) {
      for (const int64_t grain : {1, 16, 64}) {
        std::vector<std::atomic<int>> seen(count);
        team.ParallelFor(count, grain, [&](int64_t begin, int64_t end) {
          EXPECT_EQ(begin % grain, 0);
          EXPECT_TRUE(end == count || end % grain == 0);
          for (int64_t i = begin; i < end; ++i) seen[i].fetch_add(1);
        });
        for (int64_t i = 0; i < count; ++i) ASSERT_EQ(seen[i].load(), 1);
      }
    }
  }
}

// Numerics contract: no flush to zero and no denormals-are-zero in a region,
// whatever the caller had, and the caller gets its own back.
TEST(ThreadTeamTest, MembersKeepSubnormals) {
  ThreadTeam team(2);
  const unsigned flushing = _mm_getcsr() | 0x8040;
  const unsigned saved = _mm_getcsr();
  _mm_setcsr(flushing);
  std::vector<unsigned> control(2);
  team.Run([&](int member) { control[member] = _mm_getcsr(); });
  const unsigned after = _mm_getcsr();
  _mm_setcsr(saved);
  EXPECT_EQ(control[0] & 0xffc0u, 0x1f80u);
  EXPECT_EQ(control[1] & 0xffc0u, 0x1f80u);
  EXPECT_EQ(after & 0xffc0u, flushing & 0xffc0u);
}

TEST(ThreadTeamTest, AvailableCpusIsPositive) { EXPECT_GE(AvailableCpus(), 1); }

}  // namespace
}  // namespace tandem
