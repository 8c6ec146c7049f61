#include "services/coordinator/turn/worker_lane.h"

#include <gtest/gtest.h>

#include "tests/services/coordinator/fake_links.h"

namespace tandem {
namespace {

class WorkerLaneTest : public ::testing::Test, public WorkerStreamEvents {
 protected:
  WorkerLaneTest() : loop_(&clock_), lane_(&context_) {
    link_->silent = true;
    Open();
    lane_.OnOpened();
  }

  void Open() {
    lane_.Open({.link = link_,
                .name = "w",
                .model_id = "fake",
                .fingerprint = "fp",
                .vocabulary_fingerprint = "vocabulary",
                .context_max = 1000,
                .vocab_size = 300},
               {.options = Spec().options, .fingerprint = "fp"}, this);
  }

  static TurnSpec Spec() {
    TurnSpec spec{.prompt = {1, 270, 280}, .context_max = 1000};
    spec.options.max_tokens = 20;
    spec.options.seed = 1;
    return spec;
  }
  static WorkerAnswer AnswerAt(Position position, int64_t compute_us = 0,
                               int64_t served_us = 0) {
    return {.position = position,
            .tokens = {},
            .compute_us = compute_us,
            .served_us = served_us};
  }
  void OnOpened(const OpenedSequence& /*opened*/) override {}
  void OnAnswer(WorkerAnswer /*answer*/) override {}
  void OnClosed(const absl::Status& /*status*/) override {}

  FakeClock clock_;
  EventLoop loop_;
  FakeDirectory directory_;
  TurnContext context_{&loop_,
                       &directory_,
                       TurnLimits(),
                       {.session_id = "id",
                        .tokenizer = FakeTokenizer(),
                        .spec = Spec(),
                        .timeout = {}}};
  std::shared_ptr<FakeLink> link_ = std::make_shared<FakeLink>(1, "fp");
  WorkerLane lane_;
};

TEST_F(WorkerLaneTest, AnswersComeInTheOrderOfRequests) {
  lane_.Propose({.position = 3, .tokens = {5}, .is_ahead = true});
  lane_.Propose({.position = 2, .tokens = {4, 5}, .draft_length = 3});
  EXPECT_FALSE(lane_.Take(AnswerAt(5)).has_value());
  std::optional<LaneRoundTrip> trip = lane_.Take(AnswerAt(4));
  ASSERT_TRUE(trip.has_value());
  EXPECT_TRUE(trip->request.is_ahead);
  EXPECT_TRUE(trip->ran_prompt);
  lane_.DropUnanswered();
  trip = lane_.Take(AnswerAt(4));
  ASSERT_TRUE(trip.has_value());
  EXPECT_EQ(trip->request.rows, 2);
  EXPECT_EQ(trip->request.draft_length, 3);
  EXPECT_TRUE(trip->request.is_dropped);
  EXPECT_FALSE(trip->ran_prompt);
  EXPECT_FALSE(lane_.Take(AnswerAt(4)).has_value());
}

TEST_F(WorkerLaneTest, TrustsAWorkersClockWithinTheRoundTrip) {
  struct Case {
    int64_t compute_us, served_us, compute_counted_us, served_counted_us;
  };
  for (const Case& c : std::vector<Case>{{10, 30, 10, 30},
                                         {10, 0, 10, 10},
                                         {-5, 30, 0, 30},
                                         {900, 30, 100, 100},
                                         {30, 10, 30, 30}}) {
    lane_.Verify({.position = 2, .tokens = {4}, .draft = {5}});
    clock_.AdvanceTo(clock_.Now() + std::chrono::microseconds(100));
    const std::optional<LaneRoundTrip> trip =
        lane_.Take(AnswerAt(3, c.compute_us, c.served_us));
    ASSERT_TRUE(trip.has_value());
    EXPECT_EQ(trip->us, 100);
    EXPECT_EQ(trip->compute_us, c.compute_counted_us);
    EXPECT_EQ(trip->served_us, c.served_counted_us);
    TurnTimes times;
    trip->AddTo(&times);
    EXPECT_EQ(times.rpc_us, 100 - c.compute_counted_us);
    EXPECT_EQ(times.wait_us, c.served_counted_us - c.compute_counted_us);
  }
}

TEST_F(WorkerLaneTest, AClosedWorkerKeepsTheTokensAndALostOneHasNone) {
  EXPECT_TRUE(lane_.is_open());
  directory_.computed.clear();
  lane_.Close();
  EXPECT_EQ(link_->streams, 0);
  EXPECT_EQ(directory_.computed.at("w"), 3u);
  EXPECT_EQ(lane_.last_worker().name, "w");
  EXPECT_EQ(lane_.last_worker().tokens, 3);
  directory_.computed.clear();
  lane_.Close();  // nothing is open
  lane_.Lose();
  EXPECT_TRUE(directory_.computed.empty());
  EXPECT_EQ(lane_.last_worker().name, "");
}

TEST_F(WorkerLaneTest, NoAnswerBeforeTheWorkerHasOpened) {
  Open();
  lane_.Verify({.position = 2, .tokens = {4}, .draft = {}});
  EXPECT_FALSE(lane_.Take(AnswerAt(3)).has_value());
  lane_.OnOpened();
  EXPECT_TRUE(lane_.Take(AnswerAt(3)).has_value());
}

}  // namespace
}  // namespace tandem
