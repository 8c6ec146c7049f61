#include "tools/tandem/turns/batch_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/base/error_reason.h"
#include "engine/base/status.h"

namespace tandem::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

BatchLine Parse(const std::string& line, const BatchDefaults& defaults = {}) {
  return ParseBatchLine(line, 7, defaults);
}

v1::TurnRequest TurnOf(const std::string& line,
                       const BatchDefaults& defaults = {}) {
  const BatchLine parsed = Parse(line, defaults);
  EXPECT_TRUE(parsed.turn.ok()) << parsed.turn.status();
  return parsed.turn.ok() ? *parsed.turn : v1::TurnRequest();
}

TEST(BatchLineTest, APromptIsTextIdsOrMessages) {
  EXPECT_EQ(TurnOf(R"({"prompt": "Once"})").text(), "Once");
  EXPECT_THAT(TurnOf(R"({"prompt": [5, 6]})").tokens().ids(),
              ElementsAre(5, 6));
  const v1::TurnRequest chat =
      TurnOf(R"({"messages": [{"role": "system", "content": "s"},
                              {"role": "assistant", "content": ""},
                              {"role": "user", "content": "u"}],
                 "template_options": {"a": true, "b": 5, "c": 0.5, "d": "x"},
                 "parse_special": false})");
  ASSERT_EQ(chat.messages().messages_size(), 3);
  EXPECT_EQ(chat.messages().messages(0).role(), v1::CHAT_ROLE_SYSTEM);
  EXPECT_EQ(chat.messages().messages(2).content(), "u");
  EXPECT_EQ(chat.template_options().at("b").int_value(), 5);
  EXPECT_EQ(chat.template_options().at("d").text_value(), "x");
}

TEST(BatchLineTest, ToolsGoWithMessages) {
  const v1::TurnRequest turn = TurnOf(R"({
      "messages": [
        {"role": "user", "content": "What time is it?"},
        {"role": "assistant", "content": null, "reasoning": "Look.",
         "tool_calls": [{"function": {"name": "clock",
                                      "arguments": {"z": 1, "a": 2}}}]},
        {"role": "tool", "name": "clock", "content": "12:00"}],
      "tools": [{"type": "function", "function": {
        "name": "clock", "parameters": {"type": "object", "properties": {
          "z": {}, "a": {}}}}}],
      "tool_choice": "required", "parallel_tool_calls": false,
      "split_reply": true, "max_tokens": 5})");
  EXPECT_EQ(turn.messages().messages(1).tool_calls(0).arguments(),
            R"({"z":1,"a":2})");
  EXPECT_EQ(turn.messages().messages(1).reasoning(), "Look.");
  EXPECT_EQ(turn.messages().messages(2).name(), "clock");
  EXPECT_EQ(turn.tools(0).parameters(),
            R"({"type":"object","properties":{"z":{},"a":{}}})");
  EXPECT_EQ(turn.tool_choice(), v1::TOOL_CHOICE_REQUIRED);
  EXPECT_EQ(turn.tool_calls_max(), 1);
  EXPECT_TRUE(turn.split_reply());
  EXPECT_EQ(turn.options().max_tokens(), 5);
}

TEST(BatchLineTest, OptionsTakeTheDefaultsPlaces) {
  BatchDefaults defaults = {.model_id = "m"};
  defaults.options.set_temperature(0.5);
  defaults.options.set_max_tokens(9);
  defaults.options.add_stop_strings("a");
  const v1::TurnRequest plain = TurnOf(R"({"prompt": "p"})", defaults);
  EXPECT_EQ(plain.model_id(), "m");
  EXPECT_EQ(plain.options().max_tokens(), 9);
  EXPECT_THAT(plain.options().stop_strings(), ElementsAre("a"));
  // The same each time.
  EXPECT_TRUE(plain.options().has_seed());
  const v1::TurnRequest own = TurnOf(
      R"({"prompt": "p", "model_id": "n", "max_tokens": 3, "seed": 5,
          "stop_strings": ["b"], "choice": 2,
          "response_format": {"json_object": {}}})",
      defaults);
  EXPECT_EQ(own.model_id(), "n");
  EXPECT_EQ(own.options().max_tokens(), 3);
  EXPECT_EQ(own.options().temperature(), 0.5f);
  EXPECT_EQ(own.options().seed(), 5u);
  EXPECT_EQ(own.options().choice(), 2);
  EXPECT_THAT(own.options().stop_strings(), ElementsAre("b"));
  EXPECT_TRUE(own.options().response_format().has_json_object());
}

TEST(BatchLineTest, AnIdIsItsOwnOrItsNumber) {
  EXPECT_EQ(Parse(R"({"prompt": "p"})").name.id, 7);
  EXPECT_EQ(Parse(R"({"prompt": "p", "id": "x"})").name.id, "x");
  EXPECT_EQ(Parse(R"({"prompt": "p", "id": -3})").name.id, -3);
  EXPECT_EQ(Parse("nonsense").name.id, 7);
  // Also of a line that is wrong otherwise.
  EXPECT_EQ(Parse(R"({"id": "x"})").name.id, "x");
}

TEST(BatchLineTest, WhatIsWrongIsNamed) {
  for (const auto& [line, part] :
       std::vector<std::pair<std::string, std::string>>{
           {"", "no JSON"},
           {"[1]", "no JSON object"},
           {"{}", "either prompt or messages"},
           {R"({"prompt": "p", "messages": []})", "either prompt or messages"},
           {R"({"prompt": 3})", "neither a text nor token ids"},
           {R"({"prompt": "p", "id": []})", "id that is neither"},
           {R"({"prompt": "p", "model_id": 3})", "model_id"},
           {R"({"prompt": "p", "parse_special": 3})", "parse_special"},
           {R"({"prompt": "p", "template_options": 3})", "template_options"},
           {R"({"prompt": "p", "template_options": {"a": []}})",
            "template_options must have values"},
           {R"({"messages": null})", "either prompt or messages"},
           {R"({"messages": {}})", "messages must be a list"},
           {R"({"messages": [{"role": "user"}]})",
            "is wrong: messages[0].content must be"},
           {R"({"messages": [{"role": "x", "content": "c"}]})",
            "messages[0].role must be"},
           {R"({"prompt": "p", "tools": [{}]})", "tools[0].type must be"},
           {R"({"prompt": "p", "tool_choice": "required"})",
            "tool_choice is for requests with tools only"},
           {R"({"prompt": "p", "split_reply": 3})", "split_reply must be"},
           {R"({"prompt": "p", "max_tokns": 3})", "max_tokns"},
           {R"({"prompt": "p", "max_tokens": "many"})", "max_tokens"}}) {
    const BatchLine parsed = Parse(line);
    EXPECT_THAT(parsed.turn.status().message(), HasSubstr(part)) << line;
    EXPECT_TRUE(IsErrorOfLine(parsed.turn.status())) << line;
  }
}

TEST(BatchLineTest, TheDigestIsOfTheLineAndTheDefaults) {
  const std::string digest = DigestOfLine("a", {});
  EXPECT_EQ(digest.size(), 16u);
  EXPECT_EQ(digest, DigestOfLine("a", {}));
  EXPECT_NE(digest, DigestOfLine("b", {}));
  EXPECT_NE(digest, DigestOfLine("a", {.model_id = "m"}));
  BatchDefaults defaults;
  defaults.options.set_max_tokens(3);
  EXPECT_NE(digest, DigestOfLine("a", defaults));
}

TEST(BatchLineTest, AResultHasNothingOfTheTime) {
  TurnRecord record;
  record.started.set_session_id("s");
  record.tokens.add_token_ids(5);
  record.tokens.set_text("t");
  record.ended.set_finish_reason(v1::FINISH_REASON_LENGTH);
  record.ended.mutable_usage()->set_generated_tokens(1);
  record.ended.mutable_speculation()->set_total_us(3);
  const Json line = ResultLine({.id = "x", .digest = "d"}, record);
  EXPECT_EQ(line.dump(),
            R"({"id":"x","input":"d","text":"t","token_ids":[5],)"
            R"("finish_reason":"length",)"
            R"("usage":{"prompt_tokens":0,"generated_tokens":1}})");
  record.ended.mutable_receipt()->set_tokens_hash("ab");
  EXPECT_EQ(ResultLine({}, record)["receipt"]["tokens_hash"], "ab");
  record.tokens.mutable_reply()->set_content("t");
  EXPECT_EQ(ResultLine({}, record)["reply"]["content"], "t");
}

TEST(BatchLineTest, AnErrorHasItsReason) {
  const absl::Status wrong = InvalidField("start.options.top_p", "is wrong");
  EXPECT_EQ(ErrorLine({.id = 1, .digest = "d"}, wrong)["error"]["reason"],
            kReasonInvalidOptions);
  EXPECT_TRUE(IsErrorOfLine(wrong));
  for (const absl::Status& error :
       {absl::UnavailableError("gone"), Exhausted("no room"),
        UnknownModel("none")}) {
    EXPECT_FALSE(IsErrorOfLine(error)) << error;
  }
}

}  // namespace
}  // namespace tandem::cli
