// Formats that are derived from templates which write tools and calls.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

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

std::vector<std::string> HarmonyTokens() {
  return {"<|start|>", "<|channel|>",   "<|message|>", "<|end|>",
          "<|call|>",  "<|constrain|>", "<|return|>"};
}

// A template of replies in channels that writes calls as `calls` does.
std::string ChannelsWith(absl::string_view calls) {
  return absl::StrCat(
      "{{ tools | tojson }}{% for message in messages %}"
      "<|start|>{{ message.role }}{% if message.tool_calls %}"
      "{% for call in message.tool_calls %}",
      calls,
      "{% endfor %}{% else %}<|channel|>final<|message|>{{ message.content }}"
      "<|end|>{% endif %}{% endfor %}<|start|>assistant");
}

TEST(TemplateToolsTest, DerivesHarmony) {
  const ReplyFormat format = DeriveReplyFormat(*MakeReplyTokenizer(
      HarmonyTokens(), {},
      ReadTemplate(TANDEM_SOURCE_DIR, "tools-harmony.jinja")));
  EXPECT_EQ(format.tool_format, "harmony") << format.tools_error;
  EXPECT_TRUE(format.has_channels);
  EXPECT_EQ(format.calls,
            (CallMarks{.name_begin = " to=functions.",
                       .arguments_begin = "<|channel|>commentary json"
                                          "<|message|>",
                       .call_end = "<|call|>",
                       .trigger = " to=functions.",
                       .is_at_start = true,
                       .calls_max = 1}));
  EXPECT_EQ(format.reasoning_end, "<|end|><|start|>assistant");
  EXPECT_EQ(format.answer_begin, "<|channel|>final<|message|>");
  EXPECT_EQ(format.controls.size(), 5u);
  const ReplyFormat other = DeriveReplyFormat(*MakeReplyTokenizer(
      HarmonyTokens(), {},
      ChannelsWith("<|channel|>commentary to=functions.{{ call.function.name "
                   "}} <|constrain|>json<|message|>"
                   "{{ call.function.arguments | tojson }}<|call|>")));
  EXPECT_EQ(other.tool_format, "harmony") << other.tools_error;
  EXPECT_EQ(other.calls.name_begin, "<|channel|>commentary to=functions.");
  EXPECT_EQ(other.calls.arguments_begin, " <|constrain|>json<|message|>");
  EXPECT_EQ(other.controls.size(), 6u);
}

TEST(TemplateToolsTest, HarmonyNeedsItsTokensAndCalls) {
  const std::string source =
      ReadTemplate(TANDEM_SOURCE_DIR, "tools-harmony.jinja");
  const auto why_not = [](const ReplyFormat& format) {
    EXPECT_EQ(format.tool_format, "");
    EXPECT_EQ(GetErrorDetail(format.tools_error)->reason,
              kReasonUnsupportedTools);
    return std::string(format.tools_error.message());
  };
  for (const std::string& missing : HarmonyTokens()) {
    if (missing == "<|constrain|>") continue;
    std::vector<std::string> tokens = HarmonyTokens();
    std::erase(tokens, missing);
    const auto tokenizer = MakeReplyTokenizer(tokens, {}, source);
    // Without "<|return|>" the end of a message ends the reply.
    EXPECT_THAT(why_not(DeriveReplyFormat(*tokenizer)),
                HasSubstr(missing == "<|return|>" ? "<|end|>" : missing));
    const auto named = NamedReplyFormat("harmony", *tokenizer);
    if (missing == "<|return|>") {
      EXPECT_THAT(why_not(*named), HasSubstr("<|end|> ends replies"));
      // A grammar with it would end after the reasoning.
      EXPECT_EQ(named->reasoning_end, "");
      EXPECT_EQ(DeriveReplyFormat(*tokenizer).reasoning_end, "");
      EXPECT_EQ(named->answer_begin, "<|channel|>final<|message|>");
    } else {
      EXPECT_THAT(named.status().message(), HasSubstr(missing));
    }
  }
  EXPECT_THAT(why_not(DeriveReplyFormat(*MakeReplyTokenizer(
                  HarmonyTokens(), {}, ChannelsWith(kHermes)))),
              HasSubstr("in the way of hermes"));
}

TEST(TemplateToolsTest, HarmonyIsTakenAndLeftByName) {
  // With the spelling of gpt-oss, where the template writes no calls.
  const auto taken = NamedReplyFormat(
      "harmony", *MakeReplyTokenizer(HarmonyTokens(), {}, ChannelsWith("")));
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(taken->tool_format, "harmony") << taken->tools_error;
  EXPECT_EQ(taken->calls.name_begin, " to=functions.");
  // As the template spells it, where it does.
  const auto tokenizer = MakeReplyTokenizer(
      HarmonyTokens(), {},
      ChannelsWith("<|channel|>commentary to=functions.{{ call.function.name "
                   "}}<|message|>{{ call.function.arguments | tojson }}"
                   "<|call|>"));
  const auto own = NamedReplyFormat("harmony", *tokenizer);
  ASSERT_TRUE(own.ok()) << own.status();
  EXPECT_EQ(own->calls.arguments_begin, "<|message|>");
  const auto left = NamedReplyFormat("hermes", *tokenizer);
  ASSERT_TRUE(left.ok()) << left.status();
  EXPECT_EQ(left->tool_format, "hermes") << left->tools_error;
  EXPECT_FALSE(left->has_channels);
  EXPECT_EQ(left->answer_begin, "");
  EXPECT_EQ(left->reasoning_end, "");
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
