#include "engine/speculation/draft_accord.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>
#include <vector>

namespace tandem {
namespace {

TEST(DraftAccordTest, GathersWhatAllHaveSeen) {
  DraftAccord accord(0.5);
  EXPECT_EQ(accord.length(), std::nullopt);
  EXPECT_DOUBLE_EQ(accord.acceptance().Chance(0), 0.5);
  std::vector<std::thread> sessions;
  for (int session = 0; session < 4; ++session) {
    sessions.emplace_back([&accord, session] {
      for (int i = 0; i < 100; ++i) {
        // Three of four are always right.
        accord.Add(2, session == 0 ? 0 : 2);
        accord.SetLength(session);
      }
    });
  }
  for (std::thread& session : sessions) session.join();
  ASSERT_TRUE(accord.length().has_value());
  EXPECT_GE(*accord.length(), 0);
  EXPECT_LE(*accord.length(), 3);
  EXPECT_GT(accord.acceptance().Chance(0), 0.2);
  EXPECT_LT(accord.acceptance().Chance(0), 1);
  // What came last weighs more, and what was seen before does not stay.
  for (int i = 0; i < 1000; ++i) accord.Add(2, 2);
  EXPECT_GT(accord.acceptance().Chance(0), 0.95);
}

}  // namespace
}  // namespace tandem
