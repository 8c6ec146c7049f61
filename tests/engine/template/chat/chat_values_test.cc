#include "engine/template/chat/chat_values.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/template/chat/json_content.h"
#include "engine/template/template_program.h"
#include "tests/engine/template/chat/expect_error.h"

namespace tandem {
namespace {

using Messages = std::vector<ChatMessage>;

std::vector<TextPart> Render(const std::string& source, TemplateValue value) {
  TemplateInput input;
  input.variables.emplace_back("v", std::move(value));
  const auto parts = (*TemplateProgram::Parse(source))->Render(input);
  EXPECT_TRUE(parts.ok()) << parts.status();
  return parts.value_or(std::vector<TextPart>());
}

std::string ToJson(TemplateValue value) {
  std::string text;
  for (const TextPart& part : Render("{{ v | tojson }}", std::move(value))) {
    text += part.text;
  }
  return text;
}

// The message `index` as JSON.
std::string MessageJson(const Messages& messages, size_t index,
                        const ChatForm& form = {}) {
  const auto values = MessageValues(messages, form);
  EXPECT_TRUE(values.ok()) << values.status();
  return values.ok() ? ToJson((*values)[index]) : "";
}

TEST(ChatValuesTest, MessagesHaveWhatIsSetAlone) {
  const Messages messages = {
      {.role = ChatRole::kSystem, .content = "s"},
      {.role = ChatRole::kUser, .content = "", .name = "Ann"},
      {.role = ChatRole::kAssistant, .content = "a", .reasoning = "r"}};
  EXPECT_EQ(MessageJson(messages, 0), R"({"role": "system", "content": "s"})");
  EXPECT_EQ(MessageJson(messages, 1),
            R"({"role": "user", "content": "", "name": "Ann"})");
  EXPECT_EQ(MessageJson(messages, 2),
            R"({"role": "assistant", "content": "a", "reasoning_content": "r",)"
            R"( "reasoning": "r", "thinking": "r"})");
}

// Calls with and without an id, and answers.
const Messages& Calls() {
  static const Messages* const messages = new Messages{
      {.role = ChatRole::kAssistant,
       .tool_calls = {{.id = "1",
                       .name = "a",
                       .arguments = "{\"y\":1,\"x\":2}"},
                      {.name = "b", .arguments = "{ }"}}},
      {.role = ChatRole::kTool, .content = "one", .tool_call_id = "1"},
      {.role = ChatRole::kTool, .content = "two"},
      {.role = ChatRole::kTool,
       .content = "three",
       .tool_call_id = "1",
       .name = "c"},
      {.role = ChatRole::kTool, .content = "four", .tool_call_id = "2"}};
  return *messages;
}

TEST(ChatValuesTest, CallsAreMapsInTheOrderOfTheirKeys) {
  EXPECT_EQ(
      MessageJson(Calls(), 0),
      R"({"role": "assistant", "content": "", "tool_calls": [)"
      R"({"id": "1", "type": "function", "function": {"name": "a", )"
      R"("arguments": {"y": 1, "x": 2}}}, )"
      R"({"type": "function", "function": {"name": "b", "arguments": {}}}]})");
  EXPECT_EQ(
      MessageJson(Calls(), 0,
                  {.has_text_arguments = true, .has_none_content = true}),
      R"({"role": "assistant", "content": null, "tool_calls": [)"
      R"({"id": "1", "type": "function", "function": {"name": "a", )"
      R"("arguments": "{\"y\":1,\"x\":2}"}}, )"
      R"({"type": "function", "function": {"name": "b", "arguments": "{ }"}}]})");
}

TEST(ChatValuesTest, AToolHasTheNameInTheCallThatItAnswers) {
  EXPECT_EQ(MessageJson(Calls(), 1),
            R"({"role": "tool", "content": "one", "tool_call_id": "1", )"
            R"("name": "a"})");
  EXPECT_EQ(MessageJson(Calls(), 2), R"({"role": "tool", "content": "two"})");
  EXPECT_EQ(MessageJson(Calls(), 3),
            R"({"role": "tool", "content": "three", "tool_call_id": "1", )"
            R"("name": "c"})");
  EXPECT_EQ(MessageJson(Calls(), 4),
            R"({"role": "tool", "content": "four", "tool_call_id": "2"})");
}

TEST(ChatValuesTest, NamesWhatIsWrong) {
  Messages messages = Calls();
  messages[0].tool_calls[1].arguments = "{\"a\": }";
  for (const bool has_text_arguments : {false, true}) {
    ExpectInvalid(
        MessageValues(messages, {.has_text_arguments = has_text_arguments})
            .status(),
        "messages[0].tool_calls[1].arguments", "is no JSON: byte 7");
  }
  messages = Calls();
  messages[0].tool_calls[0].arguments.clear();
  ExpectInvalid(MessageValues(messages, {}).status(),
                "messages[0].tool_calls[0].arguments");
  messages = Calls();
  messages[0].content = "a";
  ExpectInvalid(MessageValues(messages, {.has_none_content = true}).status(),
                "messages[0].content", "not both");
  ExpectInvalid(
      ToolsValue(std::vector<ChatTool>{{.name = "a"},
                                       {.name = "b", .parameters = "[1]"}})
          .status(),
      "tools[1].parameters", "must be a JSON object");
}

TEST(ChatValuesTest, ToolsAreFunctions) {
  EXPECT_TRUE(ToolsValue({})->is_none());
  const std::vector<ChatTool> tools = {
      {.name = "a",
       .description = "d",
       .parameters = R"({"type":"object","properties":{"n":{"minimum":0.5}}})"},
      {.name = "b"}};
  const auto value = ToolsValue(tools);
  ASSERT_TRUE(value.ok()) << value.status();
  EXPECT_EQ(
      ToJson(*value),
      R"([{"type": "function", "function": {"name": "a", "description": "d", )"
      R"("parameters": {"type": "object", "properties": {"n": )"
      R"({"minimum": 0.5}}}}}, {"type": "function", "function": {"name": "b", )"
      R"("description": "", "parameters": {"type": "object", )"
      R"("properties": {}}}}])");
}

// What a caller wrote is content wherever it stands; what we write is not.
TEST(ChatValuesTest, TextsOfTheRequestAreContents) {
  const Messages messages = {
      {.role = ChatRole::kAssistant,
       .content = "<c>",
       .tool_calls = {{.id = "<i>", .name = "<n>", .arguments = "{\"<k>\":7}"}},
       .reasoning = "<r>"},
      {.role = ChatRole::kTool, .content = "<t>", .tool_call_id = "<i>"}};
  const auto values = MessageValues(messages, {});
  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_EQ(Render("{{ v.role }}{{ v.content }}|{{ v.reasoning }}|"
                   "{{ v.tool_calls[0].id }}|{{ v.tool_calls[0].function.name "
                   "}}|{% for k in v.tool_calls[0].function.arguments %}{{ k }}"
                   "{% endfor %}",
                   (*values)[0]),
            (std::vector<TextPart>{{"assistant", false},
                                   {"<c>", true},
                                   {"|", false},
                                   {"<r>", true},
                                   {"|", false},
                                   {"<i>", true},
                                   {"|", false},
                                   {"<n>", true},
                                   {"|", false},
                                   {"<k>", true}}));
  EXPECT_EQ(
      Render("{{ v.content }}|{{ v.tool_call_id }}|{{ v.name }}", (*values)[1]),
      (std::vector<TextPart>{{"<t>", true},
                             {"|", false},
                             {"<i>", true},
                             {"|", false},
                             {"<n>", true}}));
  const auto tools =
      ToolsValue(std::vector<ChatTool>{{.name = "n", .description = "<d>"}});
  EXPECT_EQ(Render("{{ v[0].function.description }}", *tools),
            (std::vector<TextPart>{{"<d>", true}}));
}

// Values of the deepest JSON are not too deep for a render.
TEST(ChatValuesTest, TheDeepestArgumentsRender) {
  const std::string deep(kJsonContentDepthMax - 1, '[');
  const std::string arguments =
      absl::StrCat("{\"a\": ", deep, std::string(deep.size(), ']'), "}");
  const auto values = MessageValues(
      Messages{{.role = ChatRole::kAssistant,
                .tool_calls = {{.name = "a", .arguments = arguments}}}},
      {});
  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_TRUE(absl::StrContains(ToJson(TemplateValue::List(*values)), deep));
}

TEST(ChatValuesTest, OptionsAreScalars) {
  EXPECT_EQ(ToJson(OptionValue({"o", true})), "true");
  EXPECT_EQ(ToJson(OptionValue({"o", int64_t{7}})), "7");
  EXPECT_EQ(ToJson(OptionValue({"o", 0.5})), "0.5");
  EXPECT_EQ(Render("{{ v }}", OptionValue({"o", std::string("x")})),
            (std::vector<TextPart>{{"x", true}}));
}

}  // namespace
}  // namespace tandem
