#include "services/coordinator/turn/event_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "tests/services/coordinator/fake_links.h"

namespace tandem {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;

TEST(EventLoopTest, RunsClosuresInOrder) {
  FakeClock clock;
  EventLoop loop(&clock);
  std::vector<int> ran;
  loop.Post([&] {
    ran.push_back(1);
    loop.Post([&] { ran.push_back(3); });
  });
  loop.Post([&] { ran.push_back(2); });
  EXPECT_TRUE(loop.RunReady());
  EXPECT_THAT(ran, ElementsAre(1, 2));
  EXPECT_TRUE(loop.RunReady());
  EXPECT_FALSE(loop.RunReady());
  EXPECT_THAT(ran, ElementsAre(1, 2, 3));
}

TEST(EventLoopTest, RunsTimersByTimeThenByOrder) {
  FakeClock clock;
  EventLoop loop(&clock);
  std::vector<int> ran;
  const MonotonicTime now = clock.Now();
  loop.SetTimer(now + milliseconds(2), [&] { ran.push_back(3); });
  loop.SetTimer(now + milliseconds(1), [&] { ran.push_back(1); });
  loop.SetTimer(now + milliseconds(1), [&] { ran.push_back(2); });
  EXPECT_FALSE(loop.RunReady());
  EXPECT_EQ(loop.NextTimer(), now + milliseconds(1));
  clock.AdvanceTo(now + milliseconds(5));
  EXPECT_TRUE(loop.RunReady());
  EXPECT_THAT(ran, ElementsAre(1, 2, 3));
  EXPECT_EQ(loop.NextTimer(), std::nullopt);
}

TEST(EventLoopTest, CancelledTimersDoNotRun) {
  FakeClock clock;
  EventLoop loop(&clock);
  int ran = 0;
  EventLoop::TimerId second;
  loop.SetTimer(clock.Now(), [&] { loop.CancelTimer(&second); });
  second = loop.SetTimer(clock.Now(), [&] { ++ran; });
  loop.RunReady();
  EXPECT_EQ(ran, 0);
  EXPECT_EQ(second.sequence, 0u);
  loop.CancelTimer(&second);  // none: nothing
}

TEST(EventLoopTest, ATimerThatSetsItselfDoesNotHoldTheLoop) {
  FakeClock clock;
  EventLoop loop(&clock);
  int ran = 0;
  std::function<void()> again = [&] {
    ++ran;
    loop.SetTimer(clock.Now(), [&] { again(); });
  };
  again();
  loop.RunReady();
  EXPECT_EQ(ran, 2);
}

TEST(EventLoopTest, WhatIsPostedAfterStopIsDestroyed) {
  const auto held = std::make_shared<int>(1);
  {
    EventLoop loop;
    loop.Stop();
    loop.Run();
    loop.Post([held] {});
    EXPECT_EQ(held.use_count(), 2);
  }
  EXPECT_EQ(held.use_count(), 1);
}

TEST(EventLoopThreadTest, ManyThreadsPostToTheLoop) {
  constexpr int kPosters = 4;
  constexpr int kPosts = 2000;
  EventLoopThread loop;
  int count = 0;  // only the loop touches it
  std::vector<std::thread> posters;
  for (int i = 0; i < kPosters; ++i) {
    posters.emplace_back([&] {
      for (int post = 0; post < kPosts; ++post) {
        loop.loop()->Post([&count] { ++count; });
      }
    });
  }
  for (std::thread& poster : posters) poster.join();
  loop.Stop();  // after what was posted
  EXPECT_EQ(count, kPosters * kPosts);
  loop.Stop();  // once is enough
}

TEST(EventLoopThreadTest, TimersRunOnTheLoopsThread) {
  EventLoopThread thread;
  EventLoop* const loop = thread.loop();
  std::atomic<bool> ran{false};
  loop->Post([&] {
    loop->SetTimer(loop->Now() + milliseconds(1), [&] { ran = true; });
  });
  while (!ran) std::this_thread::yield();
}

}  // namespace
}  // namespace tandem
