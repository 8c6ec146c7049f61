#include "services/gateway/server/choice_turns.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "tests/services/gateway/server/gateway_fixture.h"

namespace tandem::gateway {
namespace {

class ChoiceTurnsTest : public GatewayFixture {
 protected:
  std::shared_ptr<ChoiceTurns> Make(int count) {
    v1::TurnRequest request;
    request.set_text("Once");
    return std::make_shared<ChoiceTurns>(client_.get(), request,
                                         client::CallOptions(), count);
  }
  // Reads on until all choices have ended or one has failed.
  void Read(ChoiceTurns* turns, int choice) {
    turns->Ask(choice, [this, turns](int of, const client::NextEvent& event) {
      bool has_ended = false;
      {
        absl::MutexLock lock(&mutex_);
        if (!event.ok() || !event->has_value()) {
          error_ = event.status();
          done_.Notify();
          return;
        }
        events_[of].push_back(**event);
        has_ended = (*event)->has_ended();
        if (has_ended && ++ended_ == turns->count()) done_.Notify();
      }
      if (!has_ended) Read(turns, of);
    });
  }

  const std::unique_ptr<client::Client> client_ = MakeClient();
  absl::Mutex mutex_;
  std::map<int, std::vector<client::Event>> events_;
  int ended_ = 0;
  absl::Status error_;
  absl::Notification done_;
};

TEST_F(ChoiceTurnsTest, TheOthersFollowTheFirstTokenOfChoice0) {
  const std::shared_ptr<ChoiceTurns> turns = Make(3);
  Read(turns.get(), 0);
  done_.WaitForNotification();
  ASSERT_TRUE(error_.ok()) << error_;
  for (int choice = 0; choice < 3; ++choice) {
    const std::vector<client::Event>& events = events_[choice];
    ASSERT_EQ(events.size(), 4u);
    EXPECT_TRUE(events[0].has_started());
    EXPECT_EQ(events[1].tokens().token_ids(0), 1000 * choice + 100);
    EXPECT_TRUE(events[3].has_ended());
  }
  ASSERT_EQ(service_.turns().size(), 3u);
  EXPECT_FALSE(service_.turns()[0].options().has_seed());
  // The fake draws 0.
  EXPECT_TRUE(service_.turns()[1].options().has_seed());
}

TEST_F(ChoiceTurnsTest, OnlyChoice0HasTheScoresOfThePrompt) {
  v1::TurnRequest request;
  request.set_text("Once");
  request.set_prompt_logprobs(1);
  const auto turns = std::make_shared<ChoiceTurns>(client_.get(), request,
                                                   client::CallOptions(), 2);
  Read(turns.get(), 0);
  done_.WaitForNotification();
  ASSERT_TRUE(error_.ok()) << error_;
  EXPECT_TRUE(events_[0][1].has_prompt());
  EXPECT_EQ(events_[0].size(), 7u);
  EXPECT_EQ(events_[1].size(), 4u);
  ASSERT_EQ(service_.turns().size(), 2u);
  EXPECT_TRUE(service_.turns()[0].has_prompt_logprobs());
  EXPECT_FALSE(service_.turns()[1].has_prompt_logprobs());
}

TEST_F(ChoiceTurnsTest, AnErrorComesToTheListener) {
  service_.error = Exhausted("no room", 10);
  const std::shared_ptr<ChoiceTurns> turns = Make(2);
  Read(turns.get(), 0);
  done_.WaitForNotification();
  EXPECT_TRUE(absl::IsResourceExhausted(error_)) << error_;
  EXPECT_EQ(service_.turns().size(), 0u);
}

TEST_F(ChoiceTurnsTest, NobodyHearsOfCancelledOnes) {
  service_.wait_for_cancel = true;
  const std::shared_ptr<ChoiceTurns> turns = Make(2);
  absl::Notification started;
  turns->Ask(0,
             [&started](int, const client::NextEvent&) { started.Notify(); });
  started.WaitForNotification();
  turns->Cancel();
  turns->Cancel();
  turns->Ask(0, [](int, const client::NextEvent&) { ADD_FAILURE(); });
}

}  // namespace
}  // namespace tandem::gateway
