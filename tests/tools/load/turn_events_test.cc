#include "tools/load/turn_events.h"

#include "gtest/gtest.h"
#include "tests/tools/load/recording_observer.h"

namespace tandem::load {
namespace {

TEST(TurnEventsTest, TheRequestHasWhatIsCommonAndTheTurnsOwn) {
  v1::TurnRequest common;
  common.set_model_id("m");
  common.mutable_options()->set_temperature(0);
  LoadTurn turn;
  turn.prompt = {3, 4};
  turn.output_tokens = 9;
  turn.seed = 8;
  const v1::TurnRequest request = MakeTurnRequest(turn, common, "s");
  EXPECT_EQ(request.session_id(), "s");
  EXPECT_EQ(request.model_id(), "m");
  EXPECT_EQ(request.tokens().ids(1), 4);
  EXPECT_EQ(request.options().temperature(), 0);
  EXPECT_EQ(request.options().max_tokens(), 9);
  EXPECT_EQ(request.options().seed(), 8u);
  EXPECT_FALSE(request.options().has_draft_length());
}

TEST(TurnEventsTest, EventsGoToTheObserver) {
  RecordingObserver observer;
  std::string session_id;
  v1::GenerateResponse event;
  EXPECT_FALSE(TakeEvent(event, &observer, &session_id));
  event.mutable_started()->set_session_id("s");
  EXPECT_FALSE(TakeEvent(event, &observer, &session_id));
  EXPECT_EQ(session_id, "s");
  event.mutable_tokens();  // none in it
  EXPECT_FALSE(TakeEvent(event, &observer, &session_id));
  event.mutable_tokens()->add_token_ids(5);
  event.mutable_tokens()->add_token_ids(6);
  EXPECT_FALSE(TakeEvent(event, &observer, &session_id));
  EXPECT_EQ(observer.events, 1);
  EXPECT_EQ(observer.tokens, 2);
  event.mutable_ended()->set_finish_reason(v1::FINISH_REASON_STOP_TOKEN);
  event.mutable_ended()->mutable_speculation()->set_wait_us(4);
  event.mutable_ended()->mutable_usage()->set_cached_prompt_tokens(3);
  EXPECT_TRUE(TakeEvent(event, &observer, &session_id));
  EXPECT_EQ(observer.outcome.finish_reason, "stop_token");
  EXPECT_EQ(observer.outcome.figures.wait_us, 4);
  EXPECT_EQ(observer.outcome.figures.cached_tokens, 3);
}

TEST(TurnEventsTest, AReasonOfALaterVersionHasItsNumber) {
  v1::TurnEnded ended;
  ended.set_finish_reason(static_cast<v1::FinishReason>(77));
  EXPECT_EQ(OutcomeOf(ended).finish_reason, "reason_77");
}

}  // namespace
}  // namespace tandem::load
