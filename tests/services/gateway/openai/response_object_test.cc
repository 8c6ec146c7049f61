#include "services/gateway/openai/response_object.h"

#include <gtest/gtest.h>

#include "tests/services/gateway/openai/turn_events.h"

namespace tandem::gateway {
namespace {

TEST(ResponseObjectTest, UnderWayItHasNoOutput) {
  const OrderedJson json = ResponseObject({}, Started(), "", nullptr);
  EXPECT_EQ(json["status"], "in_progress");
  EXPECT_TRUE(json["output"].empty());
  EXPECT_TRUE(json["usage"].is_null());
}

TEST(ResponseObjectTest, WholeItHasTextAndUsage) {
  const v1::TurnEnded ended = Ended(v1::FINISH_REASON_STOP_TOKEN);
  ReplyFormat format = {.created = 5};
  format.repeated["instructions"] = "Be brief.";
  const OrderedJson json = ResponseObject(format, Started(), "Once", &ended);
  EXPECT_EQ(json["status"], "completed");
  EXPECT_EQ(json["instructions"], "Be brief.");
  EXPECT_EQ(json["output"][0]["id"], ResponseItemId(Started()));
  EXPECT_EQ(json["output"][0]["content"][0]["text"], "Once");
  EXPECT_EQ(json["usage"]["input_tokens"], 5);
  EXPECT_EQ(json["usage"]["total_tokens"], 8);
  EXPECT_TRUE(json["incomplete_details"].is_null());
  EXPECT_EQ(json["id"], ResponseId(Started()));
}

TEST(ResponseObjectTest, CutItSaysWhy) {
  const v1::TurnEnded ended = Ended(v1::FINISH_REASON_CONTEXT);
  EXPECT_EQ(ResponseObject({}, Started(), "Once",
                           &ended)["incomplete_details"]["reason"],
            "max_output_tokens");
}

TEST(ResponseItemTest, UnderWayItHasNoPart) {
  EXPECT_TRUE(ResponseItem(Started(), "", nullptr)["content"].empty());
  EXPECT_EQ(ResponsePart("x")["type"], "output_text");
}

}  // namespace
}  // namespace tandem::gateway
