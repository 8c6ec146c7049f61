#include "services/client/live_turns.h"

#include <gtest/gtest.h>

#include <optional>
#include <thread>
#include <utility>

namespace tandem::client {
namespace {

class CountedTurn final : public LiveTurn {
 public:
  void Close() override {
    ++closes;
    call.reset();
  }
  int closes = 0;
  std::optional<LiveTurns::Hold> call;
};

TEST(LiveTurnsTest, CloseEndsTheTurnsThatAreLeft) {
  const auto turns = std::make_shared<LiveTurns>();
  const auto kept = std::make_shared<CountedTurn>();
  const auto removed = std::make_shared<CountedTurn>();
  auto gone = std::make_shared<CountedTurn>();
  for (const auto& turn : {kept, removed, gone}) turns->Add(turn);
  kept->call.emplace(turns);
  EXPECT_TRUE(kept->call->is_held());
  turns->Remove(removed.get());
  gone.reset();
  turns->CloseAll();
  EXPECT_EQ(kept->closes, 1);
  EXPECT_EQ(removed->closes, 0);
}

TEST(LiveTurnsTest, CloseWaitsForTheLastCall) {
  const auto turns = std::make_shared<LiveTurns>();
  std::optional<LiveTurns::Hold> call(turns);
  // Moved, a hold is one still.
  std::optional<LiveTurns::Hold> moved(std::move(*call));
  call.reset();
  EXPECT_TRUE(moved->is_held());
  bool is_over = false;
  std::thread ending([&moved, &is_over] {
    is_over = true;
    moved.reset();
  });
  turns->CloseAll();
  EXPECT_TRUE(is_over);
  ending.join();
}

TEST(LiveTurnsTest, NoCallAfterClose) {
  const auto turns = std::make_shared<LiveTurns>();
  turns->CloseAll();
  EXPECT_FALSE(LiveTurns::Hold(turns).is_held());
}

}  // namespace
}  // namespace tandem::client
