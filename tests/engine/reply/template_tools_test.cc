// Formats that are derived from templates which write tools and calls.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "engine/reply/reply_format.h"
#include "tests/engine/reply/read_template.h"
#include "tests/engine/reply/reply_test_util.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

// A template that shows the tools and writes calls as `calls` does, which sees
// them as message.tool_calls.
std::string TemplateWith(absl::string_view calls) {
  return absl::StrCat(
      "{{ tools | tojson }}{% for message in messages %}<{{ message.role }}>"
      "{% if message.tool_calls %}",
      calls,
      "{% else %}{{ message.content }}{% endif %}{% endfor %}"
      "<assistant>");
}

constexpr char kHermes[] =
    "{% for call in message.tool_calls %}"
    "{{ '\\n<tool_call>\\n{\"name\": \"' + call.function.name + "
    "'\", \"arguments\": ' }}{{ call.function.arguments | tojson }}"
    "{{ '}\\n</tool_call>' }}{% endfor %}";

ReplyFormat Derive(const std::string& source) {
  return DeriveReplyFormat(*MakeReplyTokenizer(
      {"[TOOL_CALLS]", "[ARGS]"}, {"<tool_call>", "</tool_call>"}, source));
}

TEST(TemplateToolsTest, DerivesHermes) {
  for (const std::string& source :
       {TemplateWith(kHermes),
        ReadTemplate(TANDEM_SOURCE_DIR, "qwen25-tools.jinja")}) {
    const ReplyFormat format = Derive(source);
    EXPECT_EQ(format.tool_format, "hermes") << format.tools_error;
    EXPECT_TRUE(format.tools_error.ok());
    EXPECT_EQ(format.calls, AllKnownCalls()[0].marks);
    EXPECT_TRUE(format.controls.empty());
  }
}

TEST(TemplateToolsTest, DerivesLlama3) {
  const ReplyFormat format =
      Derive(ReadTemplate(TANDEM_SOURCE_DIR, "llama3-date-tools.jinja"));
  EXPECT_EQ(format.tool_format, "llama3") << format.tools_error;
  EXPECT_TRUE(format.calls.is_at_start);
  EXPECT_EQ(format.calls.calls_max, 1);
}

TEST(TemplateToolsTest, DerivesMistral) {
  const ReplyFormat format = Derive(TemplateWith(
      "{% for call in message.tool_calls %}[TOOL_CALLS]{{ call.function.name "
      "}}[ARGS]{{ call.function.arguments | tojson }}{% endfor %}"));
  EXPECT_EQ(format.tool_format, "mistral") << format.tools_error;
  EXPECT_EQ(format.calls.name_begin, "[TOOL_CALLS]");
  EXPECT_EQ(format.controls.size(), 2u);
  const ReplyFormat list = Derive(TemplateWith(
      "[TOOL_CALLS][{% for call in message.tool_calls %}"
      "{{ (call.function | tojson)[:-1] }}, \"id\": \"{{ call.id }}\"}"
      "{% if not loop.last %}, {% endif %}{% endfor %}]"));
  EXPECT_EQ(list.tool_format, "mistral") << list.tools_error;
  EXPECT_EQ(list.calls.section_begin, "[TOOL_CALLS][");
  EXPECT_EQ(list.calls.calls_max, 0);
}

TEST(TemplateToolsTest, WhatIsNotKnownIsShown) {
  const ReplyFormat format = Derive(
      TemplateWith("<function={{ message.tool_calls[0].function.name }}>"
                   "{{ message.tool_calls[0].function.arguments | tojson }}"));
  EXPECT_EQ(format.tool_format, "");
  ASSERT_TRUE(GetErrorDetail(format.tools_error).has_value());
  EXPECT_EQ(GetErrorDetail(format.tools_error)->reason,
            kReasonUnsupportedTools);
  EXPECT_THAT(format.tools_error.message(), HasSubstr("<function="));
}

TEST(TemplateToolsTest, ANameIsTakenInPlaceOfTheTemplates) {
  const auto tokenizer =
      MakeReplyTokenizer({"<|tool_call|>"}, {}, TemplateWith(kHermes));
  const auto granite = NamedReplyFormat("granite", *tokenizer);
  ASSERT_TRUE(granite.ok()) << granite.status();
  EXPECT_EQ(granite->tool_format, "granite") << granite->tools_error;
  EXPECT_EQ(granite->calls.section_begin, "<|tool_call|>[");
  ASSERT_EQ(granite->controls.size(), 1u);
  EXPECT_EQ(granite->controls[0].name, "<|tool_call|>");
  // Without the token it is the other way of that name.
  const auto other = NamedReplyFormat(
      "granite", *MakeReplyTokenizer({}, {}, TemplateWith(kHermes)));
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ(other->calls.section_begin, "<tool_call>[");
}

TEST(TemplateToolsTest, ReasoningIsFoundBesideCalls) {
  const ReplyFormat format = DeriveReplyFormat(*MakeReplyTokenizer(
      {}, {"<think>", "</think>"},
      TemplateWith(
          absl::StrCat("{% if message.reasoning_content %}<think>"
                       "{{ message.reasoning_content }}</think>{% endif %}",
                       kHermes))));
  EXPECT_EQ(format.tool_format, "hermes") << format.tools_error;
  EXPECT_EQ(format.reasoning_begin, "<think>");
}

}  // namespace
}  // namespace tandem
