#include "tools/tandem/base/json_input.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tandem/v1/types.pb.h"

namespace tandem::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Nested(int depth) {
  return R"({"a":)" + std::string(depth, '[') + std::string(depth, ']') + "}";
}

TEST(JsonInputTest, TakesObjectsAlone) {
  EXPECT_EQ((*ParseJsonObject(R"({"a": 1})"))["a"], 1);
  const auto error = [](const std::string& text) {
    return std::string(ParseJsonObject(text).status().message());
  };
  EXPECT_EQ(error("[1]"), "is no JSON object");
  for (const char* text :
       {"", "{", "{\"a\": 1} x", "{\"a\": \"\xff\"}", "nul"}) {
    EXPECT_THAT(error(text), HasSubstr("no JSON")) << text;
  }
  EXPECT_TRUE(ParseJsonObject(Nested(kJsonDepthMax - 1)).ok());
  EXPECT_THAT(error(Nested(kJsonDepthMax)), HasSubstr("nested"));
  EXPECT_THAT(error(Nested(1000000)), HasSubstr("nested"));
}

TEST(JsonInputTest, TakesListsAlone) {
  EXPECT_EQ(ParseJsonList("[1, 2]")->size(), 2u);
  EXPECT_EQ(ParseJsonList("{}").status().message(), "is no JSON list");
  EXPECT_THAT(std::string(ParseJsonList("[1").status().message()),
              HasSubstr("no JSON"));
}

TEST(JsonInputTest, ReadsMessagesByTheirNames) {
  v1::GenerationOptions options;
  const Json json = *ParseJsonObject(
      R"({"seed": 18446744073709551615, "temperature": 0.7,
          "logit_bias": [{"token_id": 3, "bias": "-Infinity"}],
          "response_format": {"regex": "a+"}})");
  ASSERT_TRUE(ReadMessage(json, "options", &options).ok());
  EXPECT_EQ(options.seed(), 18446744073709551615u);
  EXPECT_EQ(options.temperature(), 0.7f);
  EXPECT_EQ(options.logit_bias(0).bias(), -1.0f / 0.0f);
  EXPECT_EQ(options.response_format().regex(), "a+");
  const absl::Status unknown = ReadMessage(
      *ParseJsonObject(R"({"temprature": 1})"), "options", &options);
  EXPECT_THAT(unknown.message(), HasSubstr("options: "));
  EXPECT_THAT(unknown.message(), HasSubstr("temprature"));
  EXPECT_FALSE(ReadMessage(Json(3), "options", &options).ok());
}

TEST(JsonInputTest, TokenIdsAreAListOfThem) {
  EXPECT_THAT(*ReadTokenIds(Json::parse("[0, 2147483647]"), "ids"),
              ElementsAre(0, 2147483647));
  EXPECT_TRUE(ReadTokenIds(Json::parse("[]"), "ids")->empty());
  for (const char* text : {"3", "null", "[-1]", "[2147483648]", "[1.5]",
                           "[\"1\"]", "{\"0\": 1}"}) {
    EXPECT_THAT(ReadTokenIds(Json::parse(text), "ids").status().message(),
                HasSubstr("ids is no list of token ids"))
        << text;
  }
}

}  // namespace
}  // namespace tandem::cli
