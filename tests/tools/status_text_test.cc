#include "tools/tandem/status_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tools/tandem/base/terminal.h"

namespace tandem::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

// Two targets, one of which nobody reaches, and a drafter that fits none.
v1::GetStatusResponse Status() {
  v1::GetStatusResponse status;
  status.set_version("1.2.3");
  status.set_uptime_seconds(3 * 3600 + 12 * 60 + 5);
  status.set_sessions(1);
  status.set_turns(2);
  status.set_generated_tokens(1000);
  status.set_drafted_tokens(400);
  status.set_accepted_tokens(300);
  v1::WorkerStatus& target = *status.add_workers();
  target.set_address("127.0.0.1:7071");
  target.set_role(v1::POOL_ROLE_TARGET);
  target.set_state(v1::WORKER_STATE_SERVING);
  target.set_model_id("tales");
  target.set_fingerprint("f00d");
  target.set_numerics("int8");
  target.set_streams_open(3);
  target.set_streams_waiting(1);
  target.set_kv_tokens_free(250);
  target.set_kv_tokens(1000);
  target.set_pass_us(4240);
  target.set_draft_length(5);
  v1::WorkerStatus& lost = *status.add_workers();
  lost.set_address("10.0.0.7:7071");
  lost.set_role(v1::POOL_ROLE_TARGET);
  lost.set_state(v1::WORKER_STATE_CONNECTING);
  lost.set_reason("connection refused");
  v1::WorkerStatus& unfit = *status.add_workers();
  unfit.set_address("127.0.0.1:7072");
  unfit.set_role(v1::POOL_ROLE_DRAFT);
  unfit.set_state(v1::WORKER_STATE_UNUSABLE);
  unfit.set_reason(
      "its vocabulary does not fit that of target worker "
      "127.0.0.1:7071 (model tales): token 7 differs");
  unfit.set_model_id("other");
  return status;
}

TEST(StatusJsonTest, HasTheFieldsAndTheRate) {
  const Json json = StatusJson(Status());
  EXPECT_EQ(json["version"], "1.2.3");
  EXPECT_EQ(json["turns"], 2);
  EXPECT_EQ(json["draining"], false);
  EXPECT_EQ(json["acceptance_rate"], 0.75);
  ASSERT_EQ(json["workers"].size(), 3u);
  EXPECT_EQ(json["workers"][0]["role"], "target");
  EXPECT_EQ(json["workers"][0]["state"], "serving");
  EXPECT_EQ(json["workers"][0]["kv_tokens_free"], 250);
  EXPECT_EQ(json["workers"][1]["state"], "connecting");
  EXPECT_EQ(json["workers"][1]["reason"], "connection refused");
  EXPECT_EQ(json["workers"][2]["role"], "draft");
  EXPECT_EQ(json["workers"][2]["state"], "unusable");
}

TEST(StatusJsonTest, ValuesOfALaterVersionHaveNumbers) {
  v1::GetStatusResponse status;
  v1::WorkerStatus& worker = *status.add_workers();
  worker.set_role(static_cast<v1::PoolRole>(77));
  worker.set_state(static_cast<v1::WorkerState>(78));
  const Json json = StatusJson(status);
  EXPECT_EQ(json["workers"][0]["role"], "role_77");
  EXPECT_EQ(json["workers"][0]["state"], "state_78");
  EXPECT_EQ(json["acceptance_rate"], 0);
}

TEST(StatusLinesTest, SayWhatMattersFirst) {
  EXPECT_THAT(
      StatusLines(Status(), StatusChange(), 200),
      ElementsAre(
          "tandem 1.2.3, up 3 h 12 min", "2 turns running, 1 session kept",
          "since the start: 1000 tokens, 75.0% of 400 draft tokens accepted",
          "", "target worker 10.0.0.7:7071 is connecting: connection refused",
          "draft worker 127.0.0.1:7072 is unusable: its vocabulary does not "
          "fit that of target worker 127.0.0.1:7071 (model tales): token 7 "
          "differs",
          "", "2 targets, 1 serving",
          "state       address         model  open  waiting  KV used  pass    "
          "draft length",
          "serving     127.0.0.1:7071  tales  3     1        75%      4.2 ms  "
          "5",
          "connecting  10.0.0.7:7071   -      0     0        -        -       "
          "0",
          "", "1 draft worker, 0 serving",
          "state     address         model  open  waiting  KV used  pass",
          "unusable  127.0.0.1:7072  other  0     0        -        -"));
}

TEST(StatusLinesTest, RatesAreThoseBetweenTwoAnswers) {
  const v1::GetStatusResponse before = Status();
  v1::GetStatusResponse now = before;
  now.set_generated_tokens(1118);
  now.set_drafted_tokens(440);
  now.set_accepted_tokens(330);
  const StatusChange change = ChangeOf(before, now, absl::Seconds(2));
  EXPECT_THAT(absl::StrJoin(StatusLines(now, change, 100), "\n"),
              HasSubstr("\nnow: 59.0 tokens/s, 75.0% of 40 draft tokens "
                        "accepted\n"));
  // Another process of the coordinator has begun to count anew.
  now.set_uptime_seconds(1);
  now.set_generated_tokens(3);
  EXPECT_THAT(
      absl::StrJoin(
          StatusLines(now, ChangeOf(before, now, absl::Seconds(2)), 100), "\n"),
      Not(HasSubstr("now:")));
}

TEST(StatusLinesTest, AnEmptyCoordinatorThatDrains) {
  v1::GetStatusResponse status;
  status.set_version("1");
  status.set_draining(true);
  EXPECT_THAT(StatusLines(status, StatusChange(), 80),
              ElementsAre("tandem 1, up 0 s, draining: it takes no new turns",
                          "0 turns running, 0 sessions kept",
                          "since the start: 0 tokens, no draft token", "",
                          "no target", "", "no draft worker"));
}

TEST(StatusLinesTest, NarrowTerminalsHaveSomeLinesForEachWorker) {
  for (const int columns : {20, 30, 40, 60, 79}) {
    const std::vector<std::string> lines =
        StatusLines(Status(), StatusChange(), columns);
    for (const std::string& line : lines) {
      EXPECT_LE(DisplayColumns(line), columns) << line;
    }
    std::string text = absl::StrJoin(lines, " ");
    EXPECT_THAT(text, HasSubstr("75%"));
    EXPECT_THAT(text, HasSubstr("refused"));
  }
  EXPECT_THAT(absl::StrJoin(StatusLines(Status(), StatusChange(), 40), "\n"),
              HasSubstr("\nserving 127.0.0.1:7071\n"
                        "  tales, 3 open, 1 waiting, KV 75%, pass\n"
                        "  4.2 ms, draft length 5\n"));
}

TEST(WrapLineTest, BreaksBetweenWords) {
  EXPECT_THAT(WrapLine("", 10), ElementsAre(""));
  EXPECT_THAT(WrapLine("one two", 10), ElementsAre("one two"));
  EXPECT_THAT(WrapLine("one two three", 8), ElementsAre("one two", "  three"));
  EXPECT_THAT(WrapLine("  a b", 10), ElementsAre("  a b"));
  EXPECT_THAT(WrapLine("a waytoolongword b", 8),
              ElementsAre("a", "  waytoolongword", "  b"));
}

TEST(ScreenOfTest, DrawsInPlaceAndCuts) {
  EXPECT_EQ(ScreenOf({"one", "two"}, {.columns = 10, .rows = 5}),
            "\x1b[Hone\x1b[K\ntwo\x1b[K\x1b[J");
  EXPECT_EQ(ScreenOf({"123456", "x"}, {.columns = 4, .rows = 5}),
            "\x1b[H1234\x1b[K\nx\x1b[K\x1b[J");
  const std::string cut =
      ScreenOf({"a", "b", "c", "d"}, {.columns = 80, .rows = 3});
  EXPECT_THAT(cut, HasSubstr("... 2 more lines: tandem status --once"));
  EXPECT_THAT(cut, Not(HasSubstr("c\x1b")));
}

}  // namespace
}  // namespace tandem::cli
