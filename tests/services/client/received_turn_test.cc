#include "services/client/received_turn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace tandem::client {
namespace {

using ::testing::HasSubstr;

Event Started(int64_t turn, const std::string& fingerprint = "f") {
  Event event;
  event.mutable_started()->set_session_id("s");
  event.mutable_started()->set_turn(turn);
  event.mutable_started()->set_fingerprint(fingerprint);
  return event;
}

Event Tokens(int64_t first, int count, const std::string& text = "") {
  Event event;
  event.mutable_tokens()->set_first_token(first);
  for (int i = 0; i < count; ++i) event.mutable_tokens()->add_token_ids(i);
  event.mutable_tokens()->set_text(text);
  return event;
}

Event Ended(int64_t tokens, const std::string& text = "") {
  Event event;
  event.mutable_ended()->mutable_usage()->set_generated_tokens(tokens);
  event.mutable_ended()->set_text(text);
  return event;
}

Event Prompt(int64_t first, int count) {
  Event event;
  event.mutable_prompt()->set_first_token(first);
  for (int i = 0; i < count; ++i) event.mutable_prompt()->add_token_ids(i);
  return event;
}

void ExpectWrong(const absl::StatusOr<bool>& added, const std::string& words) {
  EXPECT_EQ(added.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(added.status().message()), HasSubstr(words));
}

TEST(ReceivedTurnTest, CountsScoredTokensOfThePrompt) {
  ReceivedTurn turn;
  EXPECT_TRUE(*turn.Add(Started(1)));
  EXPECT_TRUE(*turn.Add(Prompt(0, 2)));
  EXPECT_TRUE(*turn.Add(Prompt(2, 1)));
  EXPECT_EQ(turn.position().prompt_tokens, 3);
  EXPECT_EQ(turn.position().tokens, 0);
  ExpectWrong(turn.Add(Prompt(2, 1)), "token 2 of the prompt where token 3");
  ExpectWrong(turn.Add(Prompt(4, 1)), "token 4 of the prompt where token 3");
  EXPECT_TRUE(*turn.Add(Tokens(0, 1)));
  EXPECT_EQ(turn.position().prompt_tokens, 3);
  // One that goes on elsewhere.
  ReceivedTurn resumed(turn.position());
  EXPECT_TRUE(*resumed.Add(Started(1)));
  ExpectWrong(resumed.Add(Prompt(0, 1)), "token 0 of the prompt");
}

TEST(ReceivedTurnTest, CountsTokensAndBytes) {
  ReceivedTurn turn;
  EXPECT_FALSE(turn.has_number());
  EXPECT_TRUE(*turn.Add(Started(4)));
  EXPECT_TRUE(turn.has_number());
  EXPECT_TRUE(*turn.Add(Tokens(0, 2, "ab")));
  EXPECT_TRUE(*turn.Add(Tokens(2, 3, "\xc3\xa4")));
  EXPECT_EQ(turn.position(),
            (TurnPosition{
                .session_id = "s", .turn = 4, .tokens = 5, .text_bytes = 4}));
  EXPECT_TRUE(*turn.Add(Ended(5, "c")));
  EXPECT_EQ(turn.position().text_bytes, 5);
  EXPECT_EQ(turn.started()->turn(), 4);
}

TEST(ReceivedTurnTest, AResumedStreamStartsAgainForNobody) {
  ReceivedTurn turn;
  ASSERT_TRUE(*turn.Add(Started(1)));
  ASSERT_TRUE(*turn.Add(Tokens(0, 2)));
  turn.BeginStream();
  EXPECT_FALSE(*turn.Add(Started(1)));
  EXPECT_TRUE(*turn.Add(Tokens(2, 1)));
}

TEST(ReceivedTurnTest, GoesOnWhereAnotherStopped) {
  ReceivedTurn turn(
      {.session_id = "s", .turn = 2, .tokens = 7, .text_bytes = 9});
  EXPECT_TRUE(turn.has_number());
  EXPECT_TRUE(*turn.Add(Started(2)));
  EXPECT_TRUE(*turn.Add(Tokens(7, 1, "a")));
  EXPECT_EQ(turn.position().text_bytes, 10);
}

TEST(ReceivedTurnTest, NoTokenTwiceAndNoneLost) {
  for (const int64_t first : {0, 1, 3}) {
    ReceivedTurn turn;
    ASSERT_TRUE(turn.Add(Started(1)).ok());
    ASSERT_TRUE(turn.Add(Tokens(0, 2)).ok());
    ExpectWrong(turn.Add(Tokens(first, 2)), "where token 2 is next");
  }
  ReceivedTurn turn;
  ASSERT_TRUE(turn.Add(Started(1)).ok());
  ExpectWrong(turn.Add(Ended(1)), "ended with 1 tokens, of which 0 came");
}

TEST(ReceivedTurnTest, EventsOfAnotherTurnOrModelAreWrong) {
  ReceivedTurn turn;
  ExpectWrong(turn.Add(Tokens(0, 1)), "the first is not `started`");
  ASSERT_TRUE(turn.Add(Started(1)).ok());
  ExpectWrong(turn.Add(Started(1)), "`started` twice");
  turn.BeginStream();
  ExpectWrong(turn.Add(Started(2)), "turn 2 where turn 1");
  turn.BeginStream();
  ExpectWrong(turn.Add(Started(1, "other")), "another model");
}

TEST(ReceivedTurnTest, AnEventOfALaterVersionIsForNobody) {
  ReceivedTurn turn;
  EXPECT_FALSE(*turn.Add(Event()));
  EXPECT_TRUE(*turn.Add(Started(1)));
  EXPECT_FALSE(*turn.Add(Event()));
}

}  // namespace
}  // namespace tandem::client
