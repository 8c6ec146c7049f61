#include "tools/tandem/turns/parallel_turns.h"

#include <gtest/gtest.h>

#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "tests/tools/fake_service.h"

namespace tandem::cli {
namespace {

class ParallelTurnsTest : public ::testing::Test {
 protected:
  static v1::TurnRequest Choice(int choice) {
    v1::TurnRequest turn;
    turn.set_text("p");
    turn.mutable_options()->set_choice(choice);
    return turn;
  }

  FakeService service_;
  const std::unique_ptr<Client> client_ =
      *Client::Make({.coordinator = service_.address()});
};

TEST_F(ParallelTurnsTest, ResultsComeInOrder) {
  ParallelTurns turns(client_.get(), 4);
  for (int choice = 0; choice < 20; ++choice) turns.Add(Choice(choice));
  EXPECT_EQ(turns.size(), 20u);
  for (int choice = 0; choice < 20; ++choice) {
    const auto record = turns.Take();
    ASSERT_TRUE(record.ok()) << record.status();
    EXPECT_EQ(record->tokens.token_ids(0), 1000 * choice + 100);
    EXPECT_EQ(record->tokens.text(), "Once upon");
    EXPECT_EQ(record->ended.finish_reason(), v1::FINISH_REASON_LENGTH);
  }
  EXPECT_EQ(turns.size(), 0u);
}

TEST_F(ParallelTurnsTest, WhatFindsNoRoomIsAskedForAgain) {
  service_.error = Exhausted("no room", 10);
  service_.errors_max = 3;
  ParallelTurns turns(client_.get(), 2);
  for (int choice = 0; choice < 4; ++choice) turns.Add(Choice(choice));
  while (turns.size() > 0) {
    const auto record = turns.Take();
    EXPECT_TRUE(record.ok()) << record.status();
  }
}

TEST_F(ParallelTurnsTest, OtherErrorsAreResults) {
  service_.error = InvalidField("start.options.top_p", "is wrong");
  service_.errors_max = 1;
  ParallelTurns turns(client_.get(), 1);
  turns.Add(Choice(0));
  turns.Add(Choice(1));
  EXPECT_EQ(GetErrorDetail(turns.Take().status())->reason,
            kReasonInvalidOptions);
  EXPECT_TRUE(turns.Take().ok());
}

TEST_F(ParallelTurnsTest, CancelEndsWhatRunsAndBeginsNothing) {
  service_.wait_for_cancel = true;
  ParallelTurns turns(client_.get(), 1);
  turns.Add(Choice(0));
  turns.Add(Choice(1));
  while (service_.turns().empty()) {
  }
  turns.Cancel();
  const auto first = turns.Take();
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->ended.finish_reason(), v1::FINISH_REASON_CANCELLED);
  EXPECT_EQ(GetErrorDetail(turns.Take().status())->reason, kReasonInterrupted);
  EXPECT_EQ(service_.turns().size(), 1u);
}

TEST_F(ParallelTurnsTest, WhatRunsIsLeftAtTheEnd) {
  service_.wait_for_cancel = true;
  ParallelTurns turns(client_.get(), 2);
  turns.Add(Choice(0));
  while (service_.turns().empty()) {
  }
}

}  // namespace
}  // namespace tandem::cli
