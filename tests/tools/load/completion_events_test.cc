#include "tools/load/completion_events.h"

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tests/tools/load/recording_observer.h"

namespace tandem::load {
namespace {

class CompletionEventsTest : public ::testing::Test {
 protected:
  RecordingObserver observer_;
  CompletionEvents events_{&observer_};
};

TEST_F(CompletionEventsTest, CountsTokensByEventAndByIds) {
  EXPECT_TRUE(
      events_.Take(R"({"choices":[{"text":"a","finish_reason":null}]})").ok());
  EXPECT_TRUE(
      events_.Take(R"({"choices":[{"text":"bc","tokens":[5,6,7]}]})").ok());
  // Nothing to show for it.
  EXPECT_TRUE(events_.Take(R"({"choices":[{"text":""}]})").ok());
  EXPECT_TRUE(
      events_.Take(R"({"choices":[{"text":"","finish_reason":"length"}]})")
          .ok());
  EXPECT_TRUE(events_.Take("[DONE]").ok());
  EXPECT_EQ(observer_.tokens, 4);
  EXPECT_EQ(observer_.events, 2);
  const TurnOutcome outcome = events_.Outcome();
  EXPECT_TRUE(outcome.status.ok());
  EXPECT_EQ(outcome.finish_reason, "length");
  EXPECT_EQ(outcome.figures.generated_tokens, 4);
  EXPECT_FALSE(outcome.figures.rounds.has_value());
}

TEST_F(CompletionEventsTest, TakesUsageAndTimings) {
  EXPECT_TRUE(events_.Take(R"({"choices":[{"text":"a"}]})").ok());
  EXPECT_TRUE(events_
                  .Take(R"({"choices":[],"usage":{"completion_tokens":9,
                "prompt_tokens_details":{"cached_tokens":3}},
                "timings":{"draft_n":8,"draft_n_accepted":6}})")
                  .ok());
  EXPECT_TRUE(events_.Take("[DONE]").ok());
  const TurnOutcome outcome = events_.Outcome();
  EXPECT_EQ(outcome.finish_reason, "none");
  EXPECT_EQ(outcome.figures.generated_tokens, 9);
  EXPECT_EQ(outcome.figures.cached_tokens, 3);
  EXPECT_EQ(outcome.figures.drafted_tokens, 8);
  EXPECT_EQ(outcome.figures.accepted_tokens, 6);
}

TEST_F(CompletionEventsTest, ErrorsInTheStreamAreTheTurns) {
  const absl::Status told =
      events_.Take(R"({"error":{"code":503,"message":"loading"}})");
  EXPECT_EQ(told.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(told.message(), "loading");
  EXPECT_EQ(events_.Take(R"({"error":"bad"})").message(), "bad");
  EXPECT_EQ(events_.Take("{").code(), absl::StatusCode::kInternal);
  EXPECT_EQ(events_.Take("7").code(), absl::StatusCode::kInternal);
}

TEST_F(CompletionEventsTest, OddTypesDoNoHarm) {
  for (const char* data :
       {R"({"choices":7})", R"({"choices":[7]})",
        R"({"choices":[{"text":7,"tokens":"x","finish_reason":1}]})",
        R"({"usage":[],"timings":"x"})",
        R"({"usage":{"completion_tokens":"x"}})"}) {
    EXPECT_TRUE(events_.Take(data).ok()) << data;
  }
  EXPECT_EQ(observer_.events, 0);
}

TEST_F(CompletionEventsTest, AStreamThatBreaksOffIsAnError) {
  EXPECT_TRUE(events_.Take(R"({"choices":[{"text":"a"}]})").ok());
  EXPECT_EQ(events_.Outcome().status.code(), absl::StatusCode::kInternal);
}

TEST(CompletionErrorTest, HasTheBodysWordsAndTheStatusCode) {
  const absl::Status busy = CompletionError(
      429, R"({"error":{"message":"too many","type":"x","code":null}})");
  EXPECT_EQ(busy.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(busy.message(), "too many");
  const absl::Status broken = CompletionError(502, "<html>");
  EXPECT_EQ(broken.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(broken.message(), "HTTP 502");
}

TEST(CompletionBodyTest, HasThePromptAsIds) {
  LoadTurn turn;
  turn.prompt = {5, 6, 7};
  turn.output_tokens = 40;
  turn.seed = ~uint64_t{0};
  auto body = nlohmann::json::parse(CompletionBody(turn, {}));
  EXPECT_EQ(body["prompt"], nlohmann::json({5, 6, 7}));
  EXPECT_EQ(body["max_tokens"], 40);
  EXPECT_EQ(body["stream"], true);
  EXPECT_EQ(body["ignore_eos"], true);
  EXPECT_EQ(body["seed"], 0x7fffffff);
  EXPECT_FALSE(body.contains("temperature"));
  CompletionOptions options;
  options.model = "m";
  options.temperature = 0.0f;
  options.stops_at_eos = true;
  body = nlohmann::json::parse(CompletionBody(turn, options));
  EXPECT_EQ(body["model"], "m");
  EXPECT_EQ(body["temperature"], 0);
  EXPECT_FALSE(body.contains("ignore_eos"));
}

}  // namespace
}  // namespace tandem::load
