#include "services/gateway/openai/response_object.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/services/gateway/openai/turn_events.h"

namespace tandem::gateway {
namespace {

using Kind = OutputItem::Kind;

std::vector<OutputItem> Joined(const std::vector<v1::ReplyDelta>& deltas) {
  std::vector<OutputItem> items;
  for (const v1::ReplyDelta& delta : deltas) JoinItems(delta, &items);
  return items;
}

std::string Shown(const std::vector<OutputItem>& items) {
  std::string shown;
  for (const OutputItem& item : items) {
    const char* const kind = item.kind == Kind::kReasoning ? "r"
                             : item.kind == Kind::kMessage ? "m"
                                                           : "c";
    absl::StrAppend(&shown, kind, item.index, item.name, ":", item.text, " ");
  }
  return shown;
}

TEST(OutputItemTest, ItemsStandInTheirOrder) {
  EXPECT_EQ(Shown(Joined({Reasoning("s"),
                          Reasoning("o"),
                          {},
                          Content("Y"),
                          Content("es"),
                          Call(0, "f", ""),
                          Call(0, "", "{}"),
                          Call(1, "g", "{}"),
                          Content("!")})),
            "r0:so m1:Yes c2f:{} c3g:{} m4:! ");
}

TEST(OutputItemTest, AnEventsPartsAreInOrder) {
  v1::ReplyDelta all = Reasoning("so");
  all.MergeFrom(Content("Yes"));
  all.MergeFrom(Call(0, "f", "{"));
  all.MergeFrom(Call(0, "", "}"));
  EXPECT_EQ(Shown(Joined({all})), "r0:so m1:Yes c2f:{} ");
  // A call under way goes on before what follows it.
  v1::ReplyDelta rest = Content("!");
  rest.MergeFrom(Call(0, "", "1}"));
  rest.MergeFrom(Call(1, "g", ""));
  EXPECT_EQ(Shown(Joined({Call(0, "f", "{"), rest})), "c0f:{1} m1:! c2g: ");
}

TEST(ResponseObjectTest, UnderWayItHasNoOutput) {
  const OrderedJson json =
      ResponseObject({}, Started(), Joined({Content("a")}), nullptr);
  EXPECT_EQ(json["status"], "in_progress");
  EXPECT_TRUE(json["output"].empty());
  EXPECT_TRUE(json["usage"].is_null());
}

TEST(ResponseObjectTest, WholeItHasTextAndUsage) {
  const v1::TurnEnded ended = Ended(v1::FINISH_REASON_STOP_TOKEN);
  ReplyFormat format = {.created = 5};
  format.repeated["instructions"] = "Be brief.";
  const OrderedJson json =
      ResponseObject(format, Started(), Joined({Content("Once")}), &ended);
  EXPECT_EQ(json["status"], "completed");
  EXPECT_EQ(json["instructions"], "Be brief.");
  EXPECT_EQ(json["output"][0]["id"], absl::StrCat("msg_", kSession, "-2"));
  EXPECT_EQ(json["output"][0]["content"][0]["text"], "Once");
  EXPECT_EQ(json["usage"]["input_tokens"], 5);
  EXPECT_EQ(json["usage"]["total_tokens"], 8);
  EXPECT_TRUE(json["incomplete_details"].is_null());
  EXPECT_EQ(json["id"], ResponseId(Started()));
}

TEST(ResponseObjectTest, RepeatsTheRequestsTools) {
  ReplyFormat format;
  EXPECT_EQ(ResponseObject(format, Started(), {}, nullptr)["tool_choice"],
            "auto");
  format.repeated["tool_choice"] = "required";
  format.repeated["tools"].push_back("f");
  const OrderedJson json = ResponseObject(format, Started(), {}, nullptr);
  EXPECT_EQ(json["tool_choice"], "required");
  EXPECT_EQ(json["tools"].size(), 1u);
}

TEST(ResponseObjectTest, CutItSaysWhyAndWhichItemIsNotWhole) {
  const v1::TurnEnded ended = Ended(v1::FINISH_REASON_CONTEXT);
  const OrderedJson json = ResponseObject(
      {}, Started(), Joined({Reasoning("so"), Call(0, "f", "{")}), &ended);
  EXPECT_EQ(json["incomplete_details"]["reason"], "max_output_tokens");
  ASSERT_EQ(json["output"].size(), 2u);
  EXPECT_EQ(json["output"][0]["status"], "completed");
  EXPECT_EQ(json["output"][1]["status"], "incomplete");
}

TEST(ResponseObjectTest, WithoutAnItemThereIsAnEmptyMessage) {
  const v1::TurnEnded ended = Ended(v1::FINISH_REASON_STOP_TOKEN);
  const OrderedJson json = ResponseObject({}, Started(), {}, &ended);
  ASSERT_EQ(json["output"].size(), 1u);
  EXPECT_EQ(json["output"][0]["type"], "message");
  EXPECT_EQ(json["output"][0]["content"][0]["text"], "");
}

TEST(ResponseItemTest, UnderWayItHasNoPart) {
  EXPECT_TRUE(ResponseItem(Started(), {}, "in_progress")["content"].empty());
  EXPECT_EQ(ResponsePart({.text = "x"})["type"], "output_text");
}

TEST(ResponseItemTest, ReasoningAndCalls) {
  const std::vector<OutputItem> items =
      Joined({Reasoning("so"), Call(0, "f", "{}")});
  EXPECT_EQ(ResponseItem(Started(), items[0], "completed").dump(),
            absl::StrCat(R"({"id":"rs_)", kSession,
                         R"(-2","type":"reasoning","status":"completed",)",
                         R"("summary":[],"content":[)",
                         R"({"type":"reasoning_text","text":"so"}]})"));
  EXPECT_EQ(ResponseItem(Started(), items[1], "completed").dump(),
            absl::StrCat(R"({"id":"fc_)", kSession,
                         R"(-2-1","type":"function_call",)",
                         R"("status":"completed","call_id":"call_0",)",
                         R"("name":"f","arguments":"{}"})"));
  EXPECT_EQ(ResponseItem(Started(), items[1], "in_progress")["arguments"], "");
}

}  // namespace
}  // namespace tandem::gateway
