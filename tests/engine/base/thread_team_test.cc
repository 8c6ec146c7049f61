#include "engine/base/thread_team.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <immintrin.h>
#include <sched.h>
#include <time.h>

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

TEST(ThreadTeamTest, EveryChunkRunsOnceARegion) {
  for (const int size : {1, 2, 3, 5}) {
    ThreadTeam team(size);
    ASSERT_EQ(team.size(), size);
    for (const int chunks : {0, 1, 2, 7, 64}) {
      std::vector<int> runs(chunks, 0);
      for (int region = 0; region < 500; ++region) {
        team.Run(chunks, [&](int member, int chunk) {
          ASSERT_GE(member, 0);
          ASSERT_LT(member, size);
          ++runs[chunk];
        });
      }
      for (const int count : runs) EXPECT_EQ(count, 500);
    }
  }
}

TEST(ThreadTeamTest, TakesAsManyChunksAsItSays) {
  ThreadTeam team(3);
  std::vector<int> runs(ThreadTeam::kChunksMax, 0);
  team.Run(ThreadTeam::kChunksMax, [&](int, int chunk) { ++runs[chunk]; });
  EXPECT_EQ(std::count(runs.begin(), runs.end(), 1), ThreadTeam::kChunksMax);
}

TEST(ThreadTeamTest, RunReturnsAfterAllAreDone) {
  ThreadTeam team(3);
  for (int region = 0; region < 50; ++region) {
    std::atomic<int> done{0};
    team.Run(6, [&](int member, int) {
      if (member != 0) {
        std::this_thread::sleep_for(std::chrono::microseconds(200));
      }
      done.fetch_add(1);
    });
    ASSERT_EQ(done.load(), 6);
  }
}

// A member that holds one chunk leaves the others to the rest of the team.
TEST(ThreadTeamTest, OthersTakeTheChunksOfOneThatIsHeldUp) {
  ThreadTeam team(2);
  std::atomic<int> held_by{-1};
  std::atomic<int> others{0};
  team.Run(8, [&](int member, int chunk) {
    if (chunk == 0) {
      held_by = member;
      // Until all the others are done, by someone else.
      while (others.load() < 7) std::this_thread::yield();
      return;
    }
    while (held_by.load() < 0) std::this_thread::yield();
    EXPECT_NE(member, held_by.load());
    others.fetch_add(1);
  });
  EXPECT_EQ(others.load(), 7);
}

TEST(ThreadTeamTest, PinnedMembersStayOnOneCpuEach) {
  const int cpus = AvailableCpus();
  cpu_set_t before;
  ASSERT_EQ(sched_getaffinity(0, sizeof(before), &before), 0);
  {
    ThreadTeam team(2, Pinning::kOneCpuEach);
    std::vector<cpu_set_t> sets(2);
    std::atomic<int> begun{0};
    team.Run(2, [&](int member, int) {
      EXPECT_EQ(sched_getaffinity(0, sizeof(cpu_set_t), &sets[member]), 0);
      // Neither takes both.
      begun.fetch_add(1);
      while (begun.load() < 2) std::this_thread::yield();
    });
    EXPECT_EQ(CPU_COUNT(&sets[0]), 1);
    EXPECT_EQ(CPU_COUNT(&sets[1]), 1);
    EXPECT_EQ(CPU_EQUAL(&sets[0], &sets[1]) != 0, cpus == 1);
  }
  EXPECT_EQ(AvailableCpus(), cpus);
  ASSERT_EQ(sched_setaffinity(0, sizeof(before), &before), 0);
}

TEST(ThreadTeamTest, SleepsWhileIdle) {
  ThreadTeam team(4);
  team.Run(4, [](int, int) {});
  // Long past any spin: the members sleep by now.
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  timespec before;
  timespec after;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
  const double used =
      static_cast<double>(after.tv_sec - before.tv_sec) +
      1e-9 * static_cast<double>(after.tv_nsec - before.tv_nsec);
  // Three spinning members would use 0.4 s and more.
  EXPECT_LT(used, 0.1);
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
  std::atomic<int> begun{0};
  team.Run(2, [&](int member, int) {
    control[member] = _mm_getcsr();
    // Neither takes both.
    begun.fetch_add(1);
    while (begun.load() < 2) std::this_thread::yield();
  });
  const unsigned after = _mm_getcsr();
  _mm_setcsr(saved);
  EXPECT_EQ(control[0] & 0xffc0u, 0x1f80u);
  EXPECT_EQ(control[1] & 0xffc0u, 0x1f80u);
  EXPECT_EQ(after & 0xffc0u, flushing & 0xffc0u);
}

TEST(ThreadTeamTest, AvailableCpusIsPositive) {
  EXPECT_GE(AvailableCpus(), 1);
  EXPECT_THAT(AvailableCpusText(), ::testing::HasSubstr("CPU"));
}

// The nearest whole number, at least one, at most what there is.
TEST(ThreadTeamTest, AQuotaBoundsTheCpus) {
  EXPECT_EQ(CpusWithin(4, std::nullopt), 4);
  EXPECT_EQ(CpusWithin(4, 0.01), 1);
  EXPECT_EQ(CpusWithin(4, 0.5), 1);
  EXPECT_EQ(CpusWithin(4, 1.4), 1);
  EXPECT_EQ(CpusWithin(4, 1.5), 2);
  EXPECT_EQ(CpusWithin(4, 3), 3);
  EXPECT_EQ(CpusWithin(4, 1e300), 4);
}

}  // namespace
}  // namespace tandem
