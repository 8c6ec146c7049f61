#include "engine/reply/tool_grammar.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/grammar/automaton/grammar_matcher.h"
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

// Whether a grammar takes a reply as whole, or as the beginning of one.
enum class Taken { kNot, kBegun, kWhole };

Taken TakenBy(const GrammarSource& source, absl::string_view reply) {
  const auto tokenizer = AllMarksTokenizer();
  const auto masks = tokenizer->grammars().Get(source);
  EXPECT_TRUE(masks.ok()) << masks.status();
  if (!masks.ok()) return Taken::kNot;
  GrammarMatcher matcher(*masks);
  for (const TokenId id : ReplyIds(*tokenizer, reply)) {
    if (!matcher.Accept(id).ok()) return Taken::kNot;
  }
  return matcher.may_end() ? Taken::kWhole : Taken::kBegun;
}

constexpr char kThought[] =
    "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant";
constexpr char kFinal[] = "<|channel|>final<|message|>";

std::string HarmonyCall(const ReplyFormat& format, absl::string_view name) {
  return absl::StrCat(format.calls.name_begin, name,
                      format.calls.arguments_begin, "{}<|call|>");
}

std::vector<ReplyFormat> HarmonyFormats() {
  std::vector<ReplyFormat> formats = AllReplyFormats(*AllMarksTokenizer());
  std::erase_if(formats, [](const ReplyFormat& format) {
    return format.tool_format != "harmony";
  });
  EXPECT_EQ(formats.size(), 6u);
  return formats;
}

GrammarSource HarmonyGrammar(const ReplyFormat& format, const ToolRules& rules,
                             StartsIn starts_in = StartsIn::kAnswer) {
  std::vector<ChatTool> tools = Tools();
  tools.pop_back();  // does not compile
  return ToolGrammar(format, tools, rules, starts_in);
}

TEST(ToolGrammarTest, RepliesInChannelsAreAnAnswerOrOneCall) {
  for (const ReplyFormat& format : HarmonyFormats()) {
    const std::string call = HarmonyCall(format, "g");
    const GrammarSource tools = HarmonyGrammar(format, {});
    for (const std::string& before : {std::string(), std::string(kThought)}) {
      EXPECT_EQ(TakenBy(tools, before), Taken::kBegun);
      EXPECT_EQ(TakenBy(tools, before + kFinal), Taken::kWhole);
      EXPECT_EQ(TakenBy(tools, before + kFinal + "No."), Taken::kWhole);
      EXPECT_EQ(TakenBy(tools, before + call), Taken::kWhole);
      EXPECT_EQ(TakenBy(tools, before + call.substr(0, call.size() - 8)),
                Taken::kBegun);
      for (const std::string& wrong :
           {std::string("No."), call + call, kFinal + call, kThought + call,
            HarmonyCall(format, "nobody"), call + "."}) {
        if (before.empty() && wrong == kThought + call) continue;
        EXPECT_EQ(TakenBy(tools, before + wrong), Taken::kNot) << wrong;
      }
    }
    const GrammarSource goes_on =
        HarmonyGrammar(format, {}, StartsIn::kReasoning);
    EXPECT_EQ(TakenBy(goes_on, "Hm.<|end|><|start|>assistant" + call),
              Taken::kWhole);
    EXPECT_EQ(TakenBy(goes_on, call), Taken::kNot);
  }
}

TEST(ToolGrammarTest, ChoicesHoldInChannels) {
  for (const ReplyFormat& format : HarmonyFormats()) {
    const std::string call = HarmonyCall(format, "g");
    const GrammarSource none =
        HarmonyGrammar(format, {.choice = ToolChoice::kNone});
    const GrammarSource required =
        HarmonyGrammar(format, {.choice = ToolChoice::kRequired});
    const GrammarSource other = HarmonyGrammar(
        format, {.choice = ToolChoice::kRequired, .tool_name = "f"});
    for (const std::string& before : {std::string(), std::string(kThought)}) {
      EXPECT_EQ(TakenBy(none, before + kFinal + "No."), Taken::kWhole);
      EXPECT_EQ(TakenBy(none, before + call), Taken::kNot);
      EXPECT_EQ(TakenBy(required, before + call), Taken::kWhole);
      EXPECT_EQ(TakenBy(required, before + kFinal), Taken::kNot);
      EXPECT_EQ(TakenBy(other, before + call), Taken::kNot);
      EXPECT_EQ(TakenBy(other, before + HarmonyCall(format, "f")),
                Taken::kWhole);
    }
  }
}

TEST(ToolGrammarTest, AFormatOfAClientStandsInTheFinalChannel) {
  const auto tokenizer = AllMarksTokenizer();
  const ReplyFormat format = FormatOf("harmony", *tokenizer);
  GrammarSource source = {
      .kind = GrammarSource::Kind::kJsonSchema,
      .text = R"({"type": "object", "properties": {"a": {"const": 1}},
                  "required": ["a"], "additionalProperties": false})"};
  const GrammarSource plain = source;
  AllowReasoning(format, StartsIn::kAnswer, &source);
  const std::string json = R"({"a":1})";
  for (const std::string& before : {std::string(), std::string(kThought)}) {
    const std::string reply = before + kFinal + json;
    EXPECT_EQ(TakenBy(source, reply), Taken::kWhole);
    EXPECT_EQ(TakenBy(source, before + json), Taken::kNot);
    EXPECT_EQ(SplitReply(tokenizer, format, {},
                         ReplyIds(*tokenizer, reply + "<|return|>")),
              (ReplyParts{.content = json,
                          .reasoning = before.empty() ? "" : "Hm."}));
  }
  GrammarSource own = plain;
  own.answer_begin = "Answer: ";
  AllowReasoning(format, StartsIn::kAnswer, &own);
  EXPECT_EQ(own.answer_begin, "Answer: ");
  GrammarSource hermes = plain;
  AllowReasoning(FormatOf("hermes", *tokenizer), StartsIn::kAnswer, &hermes);
  EXPECT_EQ(hermes.answer_begin, "");
}

// Where a grammar lets white space stand, the splitter drops it.
TEST(ToolGrammarTest, WhiteSpaceBetweenMessagesIsNoContent) {
  const auto tokenizer = AllMarksTokenizer();
  for (const ReplyFormat& format : HarmonyFormats()) {
    const GrammarSource required =
        HarmonyGrammar(format, {.choice = ToolChoice::kRequired});
    for (const std::string& before : {std::string(" "), std::string("\n\n"),
                                      absl::StrCat("\n ", kThought, " \n")}) {
      const std::string reply = before + HarmonyCall(format, "g");
      EXPECT_EQ(TakenBy(required, reply), Taken::kWhole) << reply;
      const ReplyParts parts = SplitReply(
          tokenizer, format, {.has_tools = true}, ReplyIds(*tokenizer, reply));
      EXPECT_EQ(parts.content, "") << reply;
      ASSERT_EQ(parts.calls.size(), 1u) << reply;
      EXPECT_EQ(parts.calls[0].name, "g");
    }
  }
}

// What the grammar of each format writes is what the splitter reads, and its
// trigger begins it.
TEST(ToolGrammarTest, TheSplitterReadsWhatTheGrammarWrites) {
  const auto tokenizer = AllMarksTokenizer();
  for (const ReplyFormat& format : AllReplyFormats(*tokenizer)) {
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
