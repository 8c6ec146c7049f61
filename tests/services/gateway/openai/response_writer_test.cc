// MakeResponseWriter.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "services/gateway/openai/stream_writer.h"
#include "tests/services/gateway/openai/turn_events.h"

namespace tandem::gateway {
namespace {

using ::testing::ElementsAre;

const ReplyFormat kFormat = {.api = ReplyFormat::Api::kResponse};

TEST(ResponseWriterTest, EventsAreOpenAis) {
  const std::unique_ptr<StreamWriter> writer = MakeResponseWriter(kFormat);
  EXPECT_THAT(
      Lines(writer->Started(Started()), "event"),
      ElementsAre("response.created", "response.in_progress",
                  "response.output_item.added", "response.content_part.added"));
  const std::vector<Json> delta =
      Data(writer->Tokens(Tokens(0, {1}, "Once"), {}));
  ASSERT_EQ(delta.size(), 1u);
  EXPECT_EQ(delta[0]["type"], "response.output_text.delta");
  EXPECT_EQ(delta[0]["delta"], "Once");
  EXPECT_EQ(delta[0]["sequence_number"], 4);
  const std::string end =
      writer->Ended(Ended(v1::FINISH_REASON_STOP_TOKEN, "!"));
  EXPECT_THAT(
      Lines(end, "event"),
      ElementsAre("response.output_text.delta", "response.output_text.done",
                  "response.content_part.done", "response.output_item.done",
                  "response.completed"));
  const std::vector<Json> last = Data(end);
  EXPECT_EQ(last[1]["text"], "Once!");
  EXPECT_EQ(last[4]["response"]["output"][0]["content"][0]["text"], "Once!");
  EXPECT_EQ(last[4]["response"]["id"], absl::StrCat("resp_", kSession, "-2"));
}

TEST(ResponseWriterTest, AnAnswerThatWasCutIsIncomplete) {
  const std::unique_ptr<StreamWriter> writer = MakeResponseWriter(kFormat);
  writer->Started(Started());
  EXPECT_EQ(
      Lines(writer->Ended(Ended(v1::FINISH_REASON_LENGTH)), "event").back(),
      "response.incomplete");
}

TEST(ResponseWriterTest, AResumedStreamLeavesOutWhatTheClientHas) {
  const std::unique_ptr<StreamWriter> writer = MakeResponseWriter(kFormat);
  const StreamPosition begin = writer->Resume(
      {.session_id = kSession, .turn = 2, .tokens = 2, .text_bytes = 3});
  EXPECT_EQ(begin.tokens, 0);
  EXPECT_EQ(begin.text_bytes, 0);
  EXPECT_EQ(writer->Started(Started()), "");
  EXPECT_EQ(writer->Tokens(Tokens(0, {1}, "ab"), {}), "");
  EXPECT_EQ(Data(writer->Tokens(Tokens(1, {2}, "cd"), {}))[0]["delta"], "d");
  EXPECT_EQ(Data(writer->Ended(Ended(v1::FINISH_REASON_STOP_TOKEN)))[0]["text"],
            "abcd");
}

TEST(ResponseWriterTest, ErrorsAreEvents) {
  const std::string lines =
      MakeResponseWriter(kFormat)->Failed(NoWorker("no worker"));
  EXPECT_THAT(Lines(lines, "event"), ElementsAre("error"));
  EXPECT_EQ(Data(lines)[0]["code"], "no_worker");
}

}  // namespace
}  // namespace tandem::gateway
