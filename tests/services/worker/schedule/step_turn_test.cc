#include "services/worker/schedule/step_turn.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace tandem {
namespace {

TEST(StepTurnTest, OneAtATime) {
  StepTurn turn;
  int inside = 0;  // guarded by the turn
  int64_t steps = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int step = 0; step < 2000; ++step) {
        turn.Acquire();
        EXPECT_EQ(++inside, 1);
        ++steps;
        --inside;
        turn.Release();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(steps, 4 * 2000);
}

// Who asks first is first: one that comes back waits for those who came before.
TEST(StepTurnTest, TwoThatAlwaysWantItAlternate) {
  StepTurn turn;
  std::vector<int> order;  // guarded by the turn
  turn.Acquire();
  std::vector<std::thread> threads;
  for (int who = 0; who < 2; ++who) {
    threads.emplace_back([&, who] {
      for (int step = 0; step < 500; ++step) {
        turn.Acquire();
        order.push_back(who);
        turn.Release();
      }
    });
  }
  turn.Release();
  for (std::thread& thread : threads) thread.join();
  ASSERT_EQ(order.size(), 1000u);
}

}  // namespace
}  // namespace tandem
