#include "engine/reply/call_marks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "engine/base/error_reason.h"
#include "engine/base/status.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

constexpr char kPrompt[] = "<u>tandem0question</u><a>";

// Conversations in a template that begins replies with "<a>"; in `one` and
// `two` "$A" stands for the arguments, "$F" and "$G" for names.
RenderedCalls Rendered(absl::string_view one, absl::string_view two) {
  const auto reply = [](absl::string_view calls) {
    return calls.empty() ? std::string()
                         : absl::StrCat(kPrompt,
                                        absl::StrReplaceAll(
                                            calls, {{"$A", kProbeArguments},
                                                    {"$F", kProbeCall},
                                                    {"$G", kProbeNextCall}}),
                                        "</a><r>tandem0result</r>");
  };
  return {.prompt = kPrompt, .one = reply(one), .two = reply(two)};
}

TEST(CallMarksTest, ReadsHermes) {
  const auto known = ReadCalls(Rendered(
      "\n<tool_call>\n{\"name\": \"$F\", \"arguments\": $A}\n</tool_call>",
      "\n<tool_call>\n{\"name\": \"$F\", \"arguments\": $A}\n</tool_call>"
      "\n<tool_call>\n{\"name\": \"$G\", \"arguments\": $A}\n</tool_call>"));
  ASSERT_TRUE(known.ok()) << known.status();
  EXPECT_EQ(known->name, "hermes");
  EXPECT_EQ(known->marks, AllKnownCalls()[0].marks);
}

TEST(CallMarksTest, SpacingIsTheTemplates) {
  const auto known = ReadCalls(
      Rendered("<tool_call>{\"name\":\"$F\",\"arguments\":$A}</tool_call>",
               "<tool_call>{\"name\":\"$F\",\"arguments\":$A}</tool_call>"
               "<tool_call>{\"name\":\"$G\",\"arguments\":$A}</tool_call>"));
  ASSERT_TRUE(known.ok()) << known.status();
  EXPECT_EQ(known->marks, (CallMarks{.name_begin = "<tool_call>{\"name\":\"",
                                     .arguments_begin = "\",\"arguments\":",
                                     .call_end = "}</tool_call>",
                                     .separator = "",
                                     .trigger = "<tool_call>"}));
}

TEST(CallMarksTest, ATemplateThatRefusesTwoCallsAllowsOne) {
  for (const char* two :
       {"",
        "<tool_call>{\"name\":\"$F\",\"arguments\":$A}</tool_call></a><a>"
        "<tool_call>{\"name\":\"$G\",\"arguments\":$A}</tool_call>"}) {
    const auto known = ReadCalls(Rendered(
        "<tool_call>{\"name\":\"$F\",\"arguments\":$A}</tool_call>", two));
    ASSERT_TRUE(known.ok()) << known.status();
    EXPECT_EQ(known->marks.calls_max, 1);
  }
}

TEST(CallMarksTest, ReadsLlama3AtTheStartOfAReplyAlone) {
  const std::string call = "{\"name\": \"$F\", \"parameters\": $A}";
  const auto known = ReadCalls(Rendered(call, ""));
  ASSERT_TRUE(known.ok()) << known.status();
  EXPECT_EQ(known->name, "llama3");
  EXPECT_TRUE(known->marks.is_at_start);
  EXPECT_EQ(known->marks.trigger, "{\"name\": \"");
  EXPECT_FALSE(ReadCalls(Rendered("<call>" + call, "")).ok());
}

TEST(CallMarksTest, ReadsMistralWithAndWithoutIds) {
  const auto known = ReadCalls(Rendered(
      R"([TOOL_CALLS] [{"name": "$F", "arguments": $A, "id": "tandem0id"}])",
      R"([TOOL_CALLS] [{"name": "$F", "arguments": $A, "id": "tandem0id"}, )"
      R"({"name": "$G", "arguments": $A, "id": "tandem0id"}])"));
  ASSERT_TRUE(known.ok()) << known.status();
  EXPECT_EQ(known->name, "mistral");
  EXPECT_EQ(known->marks.section_begin, "[TOOL_CALLS] [");
  EXPECT_EQ(known->marks.call_end, "}");
  EXPECT_EQ(known->marks.separator, ", ");
  EXPECT_EQ(known->marks.section_end, "]");
  EXPECT_EQ(known->marks.calls_max, 0);
  const auto plain =
      ReadCalls(Rendered(R"([TOOL_CALLS][{"name": "$F", "arguments": $A}])",
                         R"([TOOL_CALLS][{"name": "$F", "arguments": $A}, )"
                         R"({"name": "$G", "arguments": $A}])"));
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_EQ(plain->marks.calls_max, 0);
  const auto named = ReadCalls(Rendered("[TOOL_CALLS]$F[ARGS]$A",
                                        "[TOOL_CALLS]$F[ARGS]$A"
                                        "[TOOL_CALLS]$G[ARGS]$A"));
  ASSERT_TRUE(named.ok()) << named.status();
  EXPECT_EQ(named->name, "mistral");
  EXPECT_EQ(named->marks.name_begin, "[TOOL_CALLS]");
  EXPECT_EQ(named->marks.arguments_begin, "[ARGS]");
  EXPECT_EQ(named->marks.calls_max, 0);
}

TEST(CallMarksTest, ReadsGranite) {
  for (const std::string begin : {"<|tool_call|>", "<tool_call>"}) {
    const auto known =
        ReadCalls(Rendered(begin + R"([{"name": "$F", "arguments": $A}])",
                           begin + R"([{"name": "$F", "arguments": $A}, )"
                                   R"({"name": "$G", "arguments": $A}])"));
    ASSERT_TRUE(known.ok()) << known.status();
    EXPECT_EQ(known->name, "granite");
    EXPECT_EQ(known->marks.section_begin, begin + "[");
    EXPECT_EQ(known->marks.trigger, begin);
    EXPECT_EQ(known->marks.calls_max, 0);
  }
}

TEST(CallMarksTest, ReadsBothOfDeepSeek) {
  const std::string old =
      "<｜tool▁call▁begin｜>function<｜tool▁sep｜>$F\n```json\n$A\n```"
      "<｜tool▁call▁end｜>";
  const auto known = ReadCalls(Rendered(
      absl::StrCat("<｜tool▁calls▁begin｜>", old, "<｜tool▁calls▁end｜>"),
      absl::StrCat("<｜tool▁calls▁begin｜>", old, "\n",
                   absl::StrReplaceAll(old, {{"$F", "$G"}}),
                   "<｜tool▁calls▁end｜>")));
  ASSERT_TRUE(known.ok()) << known.status();
  EXPECT_EQ(known->name, "deepseek");
  EXPECT_EQ(known->marks.arguments_begin, "\n```json\n");
  EXPECT_EQ(known->marks.call_end, "\n```<｜tool▁call▁end｜>");
  EXPECT_EQ(known->marks.separator, "\n");
  EXPECT_EQ(known->marks.section_end, "<｜tool▁calls▁end｜>");
  const auto later = ReadCalls(
      Rendered("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>$F<｜tool▁sep｜>$A"
               "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
               ""));
  ASSERT_TRUE(later.ok()) << later.status();
  EXPECT_EQ(later->name, "deepseek");
  EXPECT_EQ(later->marks.arguments_begin, "<｜tool▁sep｜>");
  EXPECT_EQ(later->marks.calls_max, 1);
}

// The function's name stands before the channel or in it, and the type of the
// content with a control token, without, or not at all.
TEST(CallMarksTest, ReadsAllOfHarmony) {
  for (const std::string type : {" json", " <|constrain|>json", ""}) {
    for (const auto& [name_begin, arguments_begin] :
         {std::pair<std::string, std::string>{
              " to=functions.",
              absl::StrCat("<|channel|>commentary", type, "<|message|>")},
          {"<|channel|>commentary to=functions.",
           absl::StrCat(type, "<|message|>")}}) {
      const auto known = ReadCalls(Rendered(
          absl::StrCat(name_begin, "$F", arguments_begin, "$A<|call|>"),
          absl::StrCat(name_begin, "$F", arguments_begin, "$A<|call|>",
                       name_begin, "$G", arguments_begin, "$A<|call|>")));
      ASSERT_TRUE(known.ok()) << known.status();
      EXPECT_EQ(known->name, "harmony");
      EXPECT_EQ(known->marks, (CallMarks{.name_begin = name_begin,
                                         .arguments_begin = arguments_begin,
                                         .call_end = "<|call|>",
                                         .trigger = name_begin,
                                         .is_at_start = true,
                                         .calls_max = 1}));
    }
  }
  // A call behind another message is not what a reply begins with.
  EXPECT_FALSE(
      ReadCalls(Rendered("<|channel|>commentary<|message|>Well.<|end|>"
                         "<|channel|>commentary to=functions.$F<|message|>$A"
                         "<|call|>",
                         ""))
          .ok());
}

TEST(CallMarksTest, WhatIsNotKnownIsShown) {
  for (const char* call :
       {"<function=$F>$A</function>", "$F(tandem_key=\"tandem_value\")",
        "<tool_call>{\"name\": \"$F\", \"arguments\": "
        "\"{\\\"tandem_key\\\": \\\"tandem_value\\\"}\"}</tool_call>",
        "<tool_call>{\"arguments\": $A, \"name\": \"$F\"}</tool_call>",
        "[TOOL_CALLS]$F[CALL_ID]tandem0id[ARGS]$A",
        "<tool_call>{\"name\": \"$F\", \"arguments\": $A}"}) {
    const auto known = ReadCalls(Rendered(call, ""));
    ASSERT_FALSE(known.ok()) << call;
    EXPECT_EQ(known.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(GetErrorDetail(known.status())->reason, kReasonUnsupportedTools);
    EXPECT_THAT(known.status().message(), HasSubstr(kProbeCall));
    EXPECT_THAT(known.status().message(), HasSubstr("--reply-format"));
    EXPECT_LT(known.status().message().size(), 260u);
    EXPECT_FALSE(absl::StrContains(known.status().message(), "\n"));
  }
}

TEST(CallMarksTest, ATemplateWithoutCallsIsTold) {
  const auto known = ReadCalls(Rendered("Well.", ""));
  EXPECT_THAT(known.status().message(), HasSubstr("does not write calls"));
  EXPECT_FALSE(ReadCalls({}).ok());
}

}  // namespace
}  // namespace tandem
