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
  EXPECT_THAT(Lines(writer->Started(Started()), "event"),
              ElementsAre("response.created", "response.in_progress"));
  const std::string begin = writer->Tokens(Tokens(0, {1}, "Once"), {});
  EXPECT_THAT(Lines(begin, "event"), ElementsAre("response.output_item.added",
                                                 "response.content_part.added",
                                                 "response.output_text.delta"));
  const Json delta = Data(begin).back();
  EXPECT_EQ(delta["type"], "response.output_text.delta");
  EXPECT_EQ(delta["delta"], "Once");
  EXPECT_EQ(delta["sequence_number"], 4);
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
  const std::string end = writer->Ended(Ended(v1::FINISH_REASON_LENGTH));
  EXPECT_EQ(Lines(end, "event").back(), "response.incomplete");
  EXPECT_EQ(Lines(end, "event").front(), "response.output_item.added")
      << "a message, without text";
}

// A turn that thinks, answers and calls two tools, an event for each part.
std::vector<v1::TokensGenerated> Parts() {
  return {Told(0, "<think>so", Reasoning("so")),
          Told(1, " it is</think>", Reasoning(" it is")),
          Told(2, "Yes", Content("Yes")),
          Told(3, "<call>f", Call(0, "f", "")),
          Told(4, "{\"a\"", Call(0, "", "{\"a\"")),
          Told(5, ":1}", Call(0, "", ":1}")),
          Told(6, "<call>g{}", Call(1, "g", "{}"))};
}

// The same turn, in events of other tokens.
std::vector<v1::TokensGenerated> Regrouped() {
  v1::ReplyDelta first = Reasoning("so it is");
  first.set_content("Y");
  v1::ReplyDelta second = Content("es");
  second.MergeFrom(Call(0, "f", "{\"a\":"));
  v1::ReplyDelta third = Call(0, "", "1}");
  third.MergeFrom(Call(1, "g", "{}"));
  return {Told(0, "...", first), Told(1, "...", second), Told(2, "...", third)};
}

std::string Written(StreamWriter* writer,
                    const std::vector<v1::TokensGenerated>& events) {
  std::string written = writer->Started(Started());
  for (const v1::TokensGenerated& tokens : events) {
    written += writer->Tokens(tokens, {});
  }
  return written + writer->Ended(Ended(v1::FINISH_REASON_STOP_TOKEN));
}

TEST(ResponseWriterTest, PartsAreItems) {
  const std::unique_ptr<StreamWriter> writer = MakeResponseWriter(kFormat);
  const std::string all = Written(writer.get(), Parts());
  EXPECT_THAT(
      Lines(all, "event"),
      ElementsAre("response.created", "response.in_progress",
                  "response.output_item.added", "response.content_part.added",
                  "response.reasoning_text.delta",
                  "response.reasoning_text.delta",
                  "response.reasoning_text.done", "response.content_part.done",
                  "response.output_item.done", "response.output_item.added",
                  "response.content_part.added", "response.output_text.delta",
                  "response.output_text.done", "response.content_part.done",
                  "response.output_item.done", "response.output_item.added",
                  "response.function_call_arguments.delta",
                  "response.function_call_arguments.delta",
                  "response.function_call_arguments.done",
                  "response.output_item.done", "response.output_item.added",
                  "response.function_call_arguments.delta",
                  "response.function_call_arguments.done",
                  "response.output_item.done", "response.completed"));
  const std::vector<Json> data = Data(all);
  for (size_t i = 0; i < data.size(); ++i) {
    EXPECT_EQ(data[i]["sequence_number"], i);
  }
  EXPECT_EQ(data[2]["item"]["type"], "reasoning");
  EXPECT_EQ(data[3]["part"]["type"], "reasoning_text");
  EXPECT_EQ(data[6]["text"], "so it is");
  EXPECT_EQ(data[8]["item"]["status"], "completed");
  EXPECT_EQ(data[9]["output_index"], 1);
  EXPECT_EQ(data[15]["item"]["call_id"], "call_0");
  EXPECT_EQ(data[15]["item"]["arguments"], "");
  EXPECT_EQ(data[16]["item_id"], data[15]["item"]["id"]);
  EXPECT_EQ(data[18]["arguments"], "{\"a\":1}");
  EXPECT_EQ(data[18]["name"], "f");
  EXPECT_EQ(data[23]["output_index"], 3);
  const Json& output = data.back()["response"]["output"];
  ASSERT_EQ(output.size(), 4u);
  EXPECT_EQ(output[0], data[8]["item"]);
  EXPECT_EQ(output[1], data[14]["item"]);
  EXPECT_EQ(output[2], data[19]["item"]);
  EXPECT_EQ(output[3], data[23]["item"]);
}

// What the official clients do with the events: items and their texts, each
// event once and in order.
Json Accumulated(const std::vector<Json>& data) {
  Json output = Json::array();
  Json last_sequence = -1;
  for (const Json& event : data) {
    EXPECT_EQ(event["sequence_number"], last_sequence.get<int>() + 1);
    last_sequence = event["sequence_number"];
    const std::string type = event["type"];
    if (type == "response.output_item.added") {
      EXPECT_EQ(event["output_index"], output.size());
      output.push_back(event["item"]);
    } else if (type == "response.content_part.added") {
      output[event["output_index"].get<size_t>()]["content"].push_back(
          event["part"]);
    } else if (type == "response.function_call_arguments.delta") {
      Json& item = output[event["output_index"].get<size_t>()];
      item["arguments"] = item["arguments"].get<std::string>() +
                          event["delta"].get<std::string>();
    } else if (event.contains("delta")) {
      Json& part = output[event["output_index"].get<size_t>()]["content"][0];
      part["text"] =
          part["text"].get<std::string>() + event["delta"].get<std::string>();
    } else if (type == "response.output_item.done") {
      Json& item = output[event["output_index"].get<size_t>()];
      item["status"] = "completed";
      EXPECT_EQ(item, event["item"]);
    }
  }
  return output;
}

TEST(ResponseWriterTest, AResumedStreamGoesOnAfterAnyEvent) {
  const std::string all = Written(MakeResponseWriter(kFormat).get(), Parts());
  const std::vector<std::string> ids = Lines(all, "id");
  const std::vector<Json> data = Data(all);
  ASSERT_EQ(ids.size(), data.size());
  const Json whole = Accumulated(data);
  for (const std::vector<v1::TokensGenerated>& events :
       {Parts(), Regrouped()}) {
    for (size_t had = 0; had < ids.size(); ++had) {
      const std::unique_ptr<StreamWriter> writer = MakeResponseWriter(kFormat);
      const std::optional<StreamPosition> from = ParseEventId(ids[had]);
      ASSERT_TRUE(from.has_value()) << ids[had];
      const StreamPosition begin = writer->Resume(*from);
      EXPECT_EQ(begin.session_id, kSession);
      EXPECT_EQ(begin.turn, 2);
      EXPECT_EQ(begin.tokens, 0);
      EXPECT_EQ(begin.text_bytes, 0);
      const std::string rest = Written(writer.get(), events);
      std::vector<Json> joined(data.begin(),
                               data.begin() + static_cast<int64_t>(had) + 1);
      for (const Json& event : Data(rest)) joined.push_back(event);
      EXPECT_EQ(Accumulated(joined), whole) << "after " << ids[had];
      EXPECT_EQ(joined.back()["type"], "response.completed");
      if (had + 1 < ids.size()) {
        EXPECT_EQ(joined.back()["response"], data.back()["response"]);
      }
    }
  }
}

TEST(ResponseWriterTest, AnIdThatIsNotOfTheStreamDoesNoHarm) {
  const std::unique_ptr<StreamWriter> writer = MakeResponseWriter(kFormat);
  writer->Resume({.session_id = kSession,
                  .turn = 2,
                  .tokens = INT64_MAX,
                  .text_bytes = 3,
                  .calls = INT64_MAX});
  const std::vector<Json> data = Data(Written(writer.get(), Parts()));
  EXPECT_EQ(data.front()["sequence_number"], 3);
}

TEST(ResponseWriterTest, ErrorsAreEvents) {
  const std::string lines =
      MakeResponseWriter(kFormat)->Failed(NoWorker("no worker"));
  EXPECT_THAT(Lines(lines, "event"), ElementsAre("error"));
  EXPECT_EQ(Data(lines)[0]["code"], "no_worker");
}

}  // namespace
}  // namespace tandem::gateway
