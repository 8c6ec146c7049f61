#include "engine/reply/tool_grammar.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/engine/reply/reply_test_util.h"

namespace tandem {
namespace {

std::vector<ChatTool> Tools() {
  return {{.name = "f", .parameters = R"({"type":"object"})"},
          {.name = "g"},
          {.name = "h", .parameters = R"( {"properties": {}} )"},
          {.name = "i", .parameters = "{ }"},
          {.name = "j", .parameters = "[]"}};
}

GrammarSource Grammar(absl::string_view format, const ToolRules& rules,
                      StartsIn starts_in = StartsIn::kAnswer) {
  return ToolGrammar(FormatOf(format, *AllMarksTokenizer()), Tools(), rules,
                     starts_in);
}

TEST(ToolGrammarTest, HasATagForEachTool) {
  const GrammarSource source = Grammar("hermes", {});
  EXPECT_EQ(source.kind, GrammarSource::Kind::kTags);
  EXPECT_EQ(source.tags.trigger, "<tool_call>");
  EXPECT_EQ(source.tags.separator, "\n");
  EXPECT_EQ(source.tags.tags_min, 0);
  EXPECT_EQ(source.tags.tags_max, kTagCountMax);
  ASSERT_EQ(source.tags.tags.size(), Tools().size());
  EXPECT_EQ(source.tags.tags[0],
            (JsonTag{.begin = "<tool_call>\n{\"name\": \"f\", \"arguments\": ",
                     .json_schema = R"({"type":"object"})",
                     .end = "}\n</tool_call>"}));
}

TEST(ToolGrammarTest, ArgumentsAreObjects) {
  const std::vector<JsonTag> tags = Grammar("hermes", {}).tags.tags;
  EXPECT_EQ(
      tags[1].json_schema,
      R"({"type":"object","properties":{},"additionalProperties":false})");
  EXPECT_EQ(tags[2].json_schema, R"({"type":"object","properties": {}})");
  EXPECT_EQ(tags[3].json_schema, R"({"type":"object"})");
  // What is no object is refused where it is compiled.
  EXPECT_EQ(tags[4].json_schema, "[]");
}

TEST(ToolGrammarTest, RulesSayWhichToolsAndHowMany) {
  EXPECT_EQ(Grammar("hermes", {.choice = ToolChoice::kNone}).tags.tags_max, 0);
  const TextTags required = Grammar("hermes", {.choice = ToolChoice::kRequired,
                                               .tool_name = "g",
                                               .calls_max = 3})
                                .tags;
  EXPECT_EQ(required.tags_min, 1);
  EXPECT_EQ(required.tags_max, 3);
  ASSERT_EQ(required.tags.size(), 1u);
  EXPECT_TRUE(absl::StrContains(required.tags[0].begin, "\"g\""));
  EXPECT_EQ(Grammar("hermes", {.calls_max = 1000}).tags.tags_max, kTagCountMax);
  const TextTags llama3 = Grammar("llama3", {.calls_max = 3}).tags;
  EXPECT_EQ(llama3.tags_max, 1);
  EXPECT_TRUE(llama3.trigger_at_start);
}

TEST(ToolGrammarTest, ReasoningIsAPreamble) {
  const GrammarSource answer = Grammar("hermes", {});
  EXPECT_EQ(answer.preamble_begin, "<think>");
  EXPECT_EQ(answer.preamble_end, "</think>");
  const GrammarSource reasoning = Grammar("hermes", {}, StartsIn::kReasoning);
  EXPECT_EQ(reasoning.preamble_begin, "");
  EXPECT_EQ(reasoning.preamble_end, "</think>");
  ReplyFormat format = FormatOf("hermes", *AllMarksTokenizer());
  format.reasoning_begin.clear();
  format.reasoning_end.clear();
  const GrammarSource none =
      ToolGrammar(format, Tools(), {}, StartsIn::kReasoning);
  EXPECT_EQ(none.preamble_begin, "");
  EXPECT_EQ(none.preamble_end, "");
}

// What the grammar of each format writes is what the splitter reads, and its
// trigger begins it.
TEST(ToolGrammarTest, TheSplitterReadsWhatTheGrammarWrites) {
  const auto tokenizer = AllMarksTokenizer();
  std::vector<ReplyFormat> formats = AllReplyFormats(*tokenizer);
  formats.pop_back();  // channels
  for (const ReplyFormat& format : formats) {
    const TextTags tags =
        ToolGrammar(format, Tools(), {}, StartsIn::kAnswer).tags;
    std::string text = tags.section_begin;
    const int count = std::min(tags.tags_max, 3);
    std::vector<CallDelta> calls;
    for (int i = 0; i < count; ++i) {
      const JsonTag& tag = tags.tags[i];
      EXPECT_TRUE(
          absl::StartsWith(tags.section_begin + tag.begin, tags.trigger));
      absl::StrAppend(&text, i == 0 ? "" : tags.separator, tag.begin,
                      R"({"a": "}"})", tag.end);
      calls.push_back({i, CallId("", i), Tools()[i].name, R"({"a": "}"})"});
    }
    absl::StrAppend(&text, tags.section_end, "<|im_end|>");
    EXPECT_EQ(SplitReply(tokenizer, format, {.has_tools = true},
                         ReplyIds(*tokenizer, text)),
              (ReplyParts{.calls = calls}))
        << text;
  }
}

}  // namespace
}  // namespace tandem
