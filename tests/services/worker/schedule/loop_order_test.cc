#include "services/worker/schedule/loop_order.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace tandem {
namespace {

TEST(LoopOrderTest, OneAtATime) {
  LoopOrder order;
  int inside = 0;  // guarded by `order`
  int64_t steps = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int step = 0; step < 2000; ++step) {
        order.Acquire();
        EXPECT_EQ(++inside, 1);
        ++steps;
        --inside;
        order.Release();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(steps, 4 * 2000);
}

// The loop that asks first runs first, so two busy ones both get through.
TEST(LoopOrderTest, TwoThatAlwaysWantItAlternate) {
  LoopOrder order;
  std::vector<int> ran;  // guarded by `order`
  order.Acquire();
  std::vector<std::thread> threads;
  for (int who = 0; who < 2; ++who) {
    threads.emplace_back([&, who] {
      for (int step = 0; step < 500; ++step) {
        order.Acquire();
        ran.push_back(who);
        order.Release();
      }
    });
  }
  order.Release();
  for (std::thread& thread : threads) thread.join();
  ASSERT_EQ(ran.size(), 1000u);
}

}  // namespace
}  // namespace tandem
