#include "engine/grammar/tags_compiler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/grammar/automaton/grammar_matcher.h"
#include "tests/engine/grammar/oracle/grammar_test_util.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

constexpr char kSchema[] =
    R"({"type": "object", "properties": {"x": {"type": "integer"}},
        "required": ["x"], "additionalProperties": false})";

// Tags of one schema, compiled for control tokens of these names.
class Format {
 public:
  explicit Format(TextTags tags, std::vector<std::string> control_names = {})
      : Format({.kind = GrammarSource::Kind::kTags, .tags = std::move(tags)},
               control_names) {}
  Format(const GrammarSource& source,
         const std::vector<std::string>& control_names)
      : trie_(ByteTrie({}, control_names)) {
    auto compiled = CompileGrammar(source, *trie_);
    EXPECT_TRUE(compiled.ok()) << compiled.status();
    if (compiled.ok()) grammar_ = *std::move(compiled);
  }

  // The names of control tokens in `text` are these tokens.
  bool Takes(absl::string_view text) const {
    return Matches(grammar_, trie_->WithControlTokens(text));
  }
  bool Begins(absl::string_view text) const {
    return MatchesPrefix(grammar_, trie_->WithControlTokens(text));
  }
  const Grammar& grammar() const { return grammar_; }

 private:
  std::shared_ptr<const TokenTrie> trie_;
  Grammar grammar_;
};

TextTags Hermes() {
  TextTags tags{.trigger = "<tool_call>", .separator = "\n"};
  for (const char* name : {"add", "added", "mul"}) {
    tags.tags.push_back({.begin = absl::StrCat("<tool_call>\n{\"name\": \"",
                                               name, "\", \"arguments\": "),
                         .json_schema = kSchema,
                         .end = "}\n</tool_call>"});
  }
  return tags;
}

std::string HermesCall(absl::string_view name, absl::string_view json) {
  return absl::StrCat("<tool_call>\n{\"name\": \"", name,
                      "\", \"arguments\": ", json, "}\n</tool_call>");
}

TEST(TagsCompilerTest, CallsFollowTextWhereTheirTriggerComes) {
  const Format format(Hermes());
  const std::string call = HermesCall("add", "{\"x\": 1}");
  EXPECT_TRUE(format.Takes(""));
  EXPECT_TRUE(format.Takes("I add them. gr\xC3\xBCn <tool_cal"));
  EXPECT_TRUE(format.Takes(call));
  EXPECT_TRUE(format.Takes("Let me add.\n" + call));
  EXPECT_TRUE(format.Takes("<tool_<" + call));
  EXPECT_TRUE(format.Takes(call + "\n" + HermesCall("added", "{\"x\": 2}") +
                           "\n" + call));
  EXPECT_FALSE(format.Takes("<tool_call>"));
  EXPECT_FALSE(format.Begins("<tool_call> "));
  EXPECT_FALSE(format.Begins(HermesCall("sub", "{\"x\": 1}")));
  EXPECT_FALSE(format.Begins(HermesCall("add", "{\"y\": 1}")));
  EXPECT_FALSE(format.Begins(call + " "));
  EXPECT_FALSE(format.Begins(call + "\nand"));
  EXPECT_FALSE(format.Begins("\xFF"));
}

TEST(TagsCompilerTest, TheNumberOfTagsIsBounded) {
  TextTags tags = Hermes();
  tags.tags_max = 2;
  const std::string call = HermesCall("mul", "{\"x\": 1}");
  EXPECT_TRUE(Format(tags).Takes("a" + call + "\n" + call));
  EXPECT_FALSE(Format(tags).Begins("a" + call + "\n" + call + "\n"));
  tags.tags_min = 2;
  EXPECT_TRUE(Format(tags).Takes(call + "\n" + call));
  EXPECT_TRUE(Format(tags).Takes("\n " + call + "\n" + call));
  for (const std::string& text :
       {std::string(), call, "a" + call, "\n\n\n" + call + "\n" + call}) {
    EXPECT_FALSE(Format(tags).Takes(text)) << text;
  }
  tags.tags_max = kTagCountMax;
  const Format most(tags);
  std::string text = call;
  for (int i = 1; i < kTagCountMax; ++i) absl::StrAppend(&text, "\n", call);
  EXPECT_TRUE(most.Takes(text));
  EXPECT_FALSE(most.Begins(text + "\n"));
}

TEST(TagsCompilerTest, WithoutTagsTheTriggerNeverComes) {
  TextTags tags = Hermes();
  tags.tags_max = 0;
  for (const TextTags& none :
       {tags, TextTags{.trigger = "<tool_call>"},
        TextTags{.trigger = "<tool_call>", .tags_max = 0}}) {
    const Format format(none);
    EXPECT_TRUE(format.Takes("a <tool_call <tool_"));
    EXPECT_FALSE(format.Begins("a <tool_call>"));
  }
  const Format control({.trigger = "<tool_call>"}, {"<tool_call>"});
  EXPECT_FALSE(control.Begins("<tool_call>"));
  EXPECT_TRUE(control.Takes("<tool_call"));
}

TEST(TagsCompilerTest, ASectionHasItsOwnBeginAndEnd) {
  const Format mistral(
      {.tags = {{.begin = "{\"name\": \"f\", \"arguments\": ", .end = "}"},
                {.begin = "{\"name\": \"g\", \"arguments\": ",
                 .json_schema = kSchema,
                 .end = "}"}},
       .trigger = "[TOOL_CALLS][",
       .section_begin = "[TOOL_CALLS][",
       .separator = ", ",
       .section_end = "]"},
      {"[TOOL_CALLS]", "[INST]"});
  const std::string f = R"({"name": "f", "arguments": {"any": [1]}})";
  const std::string g = R"({"name": "g", "arguments": {"x": 1}})";
  EXPECT_TRUE(mistral.Takes("plain [ text"));
  EXPECT_TRUE(mistral.Takes("[TOOL_CALLS][" + f + "]"));
  EXPECT_TRUE(mistral.Takes("a [[TOOL_CALLS][" + f + ", " + g + "]"));
  EXPECT_FALSE(mistral.Takes("[TOOL_CALLS][" + f));
  EXPECT_FALSE(mistral.Begins("[TOOL_CALLS]a"));
  EXPECT_FALSE(mistral.Begins("[TOOL_CALLS][" + f + "," + g));
  EXPECT_FALSE(mistral.Begins("[TOOL_CALLS][" + f + "]]"));
  EXPECT_FALSE(mistral.Begins("[INST]"));
}

TEST(TagsCompilerTest, ATriggerAtTheStartIsPlainTextLater) {
  const Format llama({.tags = {{.begin = "{\"name\": \"f\", \"parameters\": ",
                                .json_schema = kSchema,
                                .end = "}"}},
                      .trigger = "{\"name\": \"",
                      .trigger_at_start = true,
                      .separator = "; "});
  const std::string call = R"({"name": "f", "parameters": {"x": 1}})";
  EXPECT_TRUE(llama.Takes(call));
  EXPECT_TRUE(llama.Takes(" \n\n\t " + call));
  EXPECT_TRUE(llama.Takes(call + "; " + call));
  EXPECT_TRUE(llama.Takes("{\"name\": 7}"));
  EXPECT_TRUE(llama.Takes("So: {\"name\": \"any\"} is text."));
  EXPECT_FALSE(llama.Begins("{\"name\": \"g"));
  EXPECT_FALSE(llama.Begins(call + "."));
}

TEST(TagsCompilerTest, ControlTokensStandAnywhereInTags) {
  const std::string begin = "<|tool_calls_begin|><|tool_call_begin|>";
  const Format deepseek(
      {.tags = {{.begin = "<|tool_call_begin|>function<|sep|>f\n```json\n",
                 .json_schema = kSchema,
                 .end = "\n```<|tool_call_end|>"}},
       .trigger = "<|tool_calls_begin|>",
       .section_begin = "<|tool_calls_begin|>",
       .separator = "\n",
       .section_end = "<|tool_calls_end|>"},
      {"<|tool_calls_begin|>", "<|tool_call_begin|>", "<|sep|>",
       "<|tool_call_end|>", "<|tool_calls_end|>", "<|tool|>"});
  const std::string call =
      "<|tool_call_begin|>function<|sep|>f\n```json\n{\"x\": 1}\n```"
      "<|tool_call_end|>";
  EXPECT_TRUE(deepseek.Takes("First: <|tool"));
  EXPECT_TRUE(deepseek.Takes("First:<|tool_calls_begin|>" + call + "\n" + call +
                             "<|tool_calls_end|>"));
  EXPECT_FALSE(deepseek.Begins("<|sep|>"));
  EXPECT_FALSE(deepseek.Begins(begin + "function<|tool|>"));
  EXPECT_FALSE(deepseek.Begins(begin + "function<|sep|>g"));

  const Format harmony(
      {.tags = {{.begin = "<|channel|>commentary to=functions.f "
                          "<|constrain|>json<|message|>",
                 .json_schema = kSchema,
                 .end = "<|call|>"}},
       .trigger = "<|channel|>commentary to=",
       .tags_max = 1},
      {"<|channel|>", "<|constrain|>", "<|message|>", "<|call|>"});
  EXPECT_TRUE(harmony.Takes(
      "<|channel|>commentary to=functions.f <|constrain|>json<|message|>"
      "{\"x\": 1}<|call|>"));
  EXPECT_FALSE(harmony.Begins("<|channel|>final"));
}

// A vocabulary in which the name is text takes the text.
TEST(TagsCompilerTest, ANameThatIsNoControlTokenIsText) {
  const TextTags tags{.tags = {{.begin = "<|tool_call|>[{\"name\": \"f\"",
                                .json_schema = kSchema,
                                .end = "}]"}},
                      .trigger = "<|tool_call|>"};
  const std::string bytes = "<|tool_call|>[{\"name\": \"f\"{\"x\": 1}}]";
  EXPECT_TRUE(Matches(Format(tags).grammar(), bytes));
  const Format control(tags, {"<|tool_call|>"});
  EXPECT_TRUE(control.Takes(bytes));
  EXPECT_TRUE(Matches(control.grammar(), "<|tool_call|>[{"));  // free text
}

TEST(TagsCompilerTest, ABeginMayBeTheBeginningOfAnother) {
  const Format format(
      {.tags = {{.begin = "<t>", .json_schema = "{\"const\":1}"},
                {.begin = "<t>", .json_schema = "{\"const\":2}"},
                {.begin = "<t>3", .end = "!"}},
       .trigger = "<t>"});
  for (const char* text : {"<t>1", "<t>2", "<t>3{}!", "<t>1<t>3{}!<t>2"}) {
    EXPECT_TRUE(format.Takes(text)) << text;
  }
  EXPECT_FALSE(format.Begins("<t>3{}<t>"));
  EXPECT_FALSE(format.Begins("<t>4"));
}

TEST(TagsCompilerTest, TextsMayBeLong) {
  TextTags tags = Hermes();
  for (const bool at_start : {false, true}) {
    tags.trigger_at_start = at_start;
    const Format format(tags);
    std::string text;
    while (text.size() < 100'000) absl::StrAppend(&text, "<tool_call \xC3\xA9");
    EXPECT_TRUE(format.Takes(text));
    text += HermesCall("mul", "{\"x\": 3}");
    EXPECT_TRUE(format.Takes(text));
    EXPECT_EQ(format.Takes(text + "."), at_start);
  }
}

TEST(TagsCompilerTest, ManyTagsWithStringsAreFewStates) {
  TextTags tags{.trigger = "<t"};
  for (size_t i = 0; i < kTagsMax; ++i) {
    tags.tags.push_back({.begin = absl::StrCat("<t", i, ">"),
                         .json_schema = R"({"type": "object", "properties":
                             {"a": {"type": "string"}, "b": {}}})",
                         .end = "</t>"});
  }
  EXPECT_LT(Format(tags).grammar().states.size(), kGrammarStatesMax / 2);
}

// All sorts of tokens, which cross the borders of text, marks and tags.
TEST(TagsCompilerTest, MasksAreThoseOfTheOracle) {
  const auto trie =
      TrieOfTexts({"a",      ";",    "/",     "<",     "t",  ">",    "<t>",
                   "<t>{",   "a<t",  "{",     "}",     "\"", "x",    ":",
                   "1",      "\": ", "\"x",   "x\":1", "}<", "}</",  "/t>",
                   "},",     "</t",  ">\n<t", "\n",    " ",  "\xC3", "\xA9",
                   "\xA9<t", ">;",   "<t>{}<"},
                  {"<call>", "<end>", "<other>"});
  std::mt19937_64 random(7);
  const std::vector<JsonTag> plain = {
      {.begin = "<t>", .json_schema = kSchema, .end = "</t>"},
      {.begin = "<t>x", .json_schema = kSchema, .end = "\xC3\xA9"}};
  const std::vector<JsonTag> control = {
      {.begin = "<call>", .json_schema = kSchema, .end = "<end>"},
      {.begin = "<call>x<call>", .json_schema = kSchema, .end = "a"}};
  for (const TextTags& tags :
       {TextTags{.tags = plain, .trigger = "<t>", .separator = "\n"},
        TextTags{.tags = plain, .trigger = "<t>", .trigger_at_start = true},
        TextTags{.tags = plain,
        .trigger = "<",
        .separator = ";",
        .section_end = ">",
        .tags_max = 2},
        TextTags{.tags = control, .trigger = "<call>", .separator = "<other>"},
        TextTags{.tags = control,
        .trigger = "a<call>",
        .section_begin = "a",
        .tags_max = 3},
        TextTags{.tags = control, .trigger = "<call>", .tags_min = 2},
        TextTags{.trigger = "a<t>"}}) {
    for (const auto& [begin, end] :
         std::vector<std::pair<std::string, std::string>>{
             {"", ""}, {"", "</t>"}, {"<t", "x>"}, {"<other>", "a<other>"}}) {
      const auto grammar = CompileGrammar({.kind = GrammarSource::Kind::kTags,
                                           .tags = tags,
                                           .preamble_begin = begin,
                                           .preamble_end = end},
                                          *trie);
      ASSERT_TRUE(grammar.ok()) << grammar.status();
      ExpectMasksOfOracle(*grammar, trie, /*texts=*/20, /*tokens=*/30, &random);
    }
  }
}

TEST(TagsCompilerTest, ErrorsNameTheField) {
  const auto error = [](TextTags tags) {
    const auto compiled = CompileGrammar(
        {.kind = GrammarSource::Kind::kTags, .tags = std::move(tags)});
    EXPECT_EQ(compiled.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(compiled.status().message());
  };
  const auto with = [](JsonTag tag) {
    return TextTags{.tags = {{.begin = "<t>"}, std::move(tag)},
                    .trigger = "<t>"};
  };
  EXPECT_THAT(error(with({.begin = "<t>", .json_schema = "{\"not\": {}}"})),
              HasSubstr("tags[1].json_schema: /not: "));
  EXPECT_THAT(error(with({.begin = "<t>", .json_schema = "{"})),
              HasSubstr("tags[1].json_schema: is no JSON"));
  EXPECT_THAT(error(with({.begin = ""})), HasSubstr("tags[1].begin: is empty"));
  EXPECT_THAT(error(with({.begin = "<t>\xFF"})),
              HasSubstr("tags[1].begin: is not UTF-8 at byte 3"));
  EXPECT_THAT(error(with({.begin = "<t>", .end = "\xC3"})),
              HasSubstr("tags[1].end: is not UTF-8"));
  EXPECT_THAT(error(with({.begin = "<u>"})),
              HasSubstr("trigger: tags[1].begin, with section_begin before "
                        "it, does not begin with it"));
  EXPECT_THAT(error({}), HasSubstr("trigger: is empty"));
  EXPECT_THAT(error({.trigger = std::string(kTextMarkBytesMax + 1, 'x')}),
              HasSubstr("trigger: has 257 bytes, more than 256"));
  EXPECT_THAT(error({.trigger = "x", .separator = "\xFF"}),
              HasSubstr("separator: is not UTF-8"));
  EXPECT_THAT(error({.trigger = "x", .tags_min = 1}),
              HasSubstr("tags_min: is 1, but there are no tags"));
  TextTags tags = with({.begin = "<t>"});
  tags.tags_min = 3;
  tags.tags_max = 2;
  EXPECT_THAT(error(tags), HasSubstr("tags_min: must be 0 to tags_max, 2"));
  tags.tags_min = -1;
  EXPECT_THAT(error(tags), HasSubstr("tags_min: "));
  tags.tags_max = kTagCountMax + 1;
  EXPECT_THAT(error(tags), HasSubstr("tags_max: must be 0 to 64, is 65"));
  tags.tags_max = -1;
  EXPECT_THAT(error(tags), HasSubstr("tags_max: "));
  tags = with({.begin = "<t>"});
  tags.tags.resize(kTagsMax + 1, {.begin = "<t>"});
  EXPECT_THAT(error(tags), HasSubstr("tags: there are 129, more than 128"));
  tags = with({.begin = "<t>"});
  for (JsonTag& tag : tags.tags) {
    tag.end = std::string(kGrammarSourceBytesMax / 2, 'x');
  }
  EXPECT_THAT(error(tags), HasSubstr("tags: the texts have "));
  // A control token is there as a whole or not at all.
  const auto vocabulary = ByteTrie({}, {"<call>"});
  EXPECT_FALSE(CompileGrammar({.kind = GrammarSource::Kind::kTags,
                               .tags = {.tags = {{.begin = "<call>"}},
                                        .trigger = "<call"}},
                              *vocabulary)
                   .ok());
}

TEST(TagsCompilerTest, ATagThatNothingMatchesIsNamedOrLeftOut) {
  const std::string never =
      R"({"type": "integer", "minimum": 3, "maximum": 2})";
  TextTags tags{.tags = {{.begin = "<t>", .json_schema = never}},
                .trigger = "<t>"};
  EXPECT_FALSE(Format(tags).Begins("<t>"));
  EXPECT_TRUE(Format(tags).Takes("<t"));
  tags.tags_min = 1;
  const auto grammar =
      CompileGrammar({.kind = GrammarSource::Kind::kTags, .tags = tags});
  EXPECT_THAT(std::string(grammar.status().message()),
              HasSubstr("tags[0].json_schema: #: nothing matches"));
}

// Messages with a header each, as gpt-oss writes them.
GrammarSource Channels(GrammarSource::Kind kind) {
  return {.kind = kind,
          .text = "[a-z]+",
          .tags = {.tags = {{.begin = "<|channel|>commentary<|message|>",
                             .json_schema = kSchema,
                             .end = "<|call|>"}},
                   .trigger = "<|channel|>commentary<|message|>",
                   .tags_max = 1},
          .preamble_begin = "<|channel|>analysis<|message|>",
          .preamble_end = "<|end|><|start|>assistant",
          .answer_begin = "<|channel|>final<|message|>"};
}

TEST(TagsCompilerTest, AnswersBeginWithTheirHeaderAndTagsDoNot) {
  const std::vector<std::string> controls = {
      "<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|call|>"};
  const std::string thought =
      "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant";
  const std::string call = "<|channel|>commentary<|message|>{\"x\": 1}<|call|>";
  const Format tags(Channels(GrammarSource::Kind::kTags), controls);
  for (const std::string& before : {std::string(), thought}) {
    EXPECT_TRUE(tags.Takes(before + "<|channel|>final<|message|>Hello."));
    EXPECT_TRUE(tags.Takes(before + "<|channel|>final<|message|>"));
    EXPECT_TRUE(tags.Takes(before + call));
    EXPECT_FALSE(tags.Begins(before + "H"));
    EXPECT_FALSE(tags.Takes(before));
    EXPECT_FALSE(tags.Begins(before + "<|channel|>final<|message|>Hm." + call));
    EXPECT_FALSE(tags.Begins(before + call + "."));
  }
  EXPECT_FALSE(tags.Begins(thought + "<|channel|>analysis"));

  GrammarSource required = Channels(GrammarSource::Kind::kTags);
  required.tags.tags_min = 1;
  const Format must_call(required, controls);
  EXPECT_TRUE(must_call.Takes(thought + call));
  EXPECT_TRUE(must_call.Takes(call));
  EXPECT_FALSE(must_call.Begins("<|channel|>final"));
  for (const Format* format : {&tags, &must_call}) {
    EXPECT_TRUE(format->Takes("\n " + call));
    EXPECT_TRUE(format->Takes("\n" + thought + "\n" + call));
    EXPECT_FALSE(format->Begins("\n\n\n"));
  }

  GrammarSource none = Channels(GrammarSource::Kind::kTags);
  none.tags.tags_max = 0;
  const Format no_call(none, controls);
  EXPECT_TRUE(no_call.Takes(thought + "<|channel|>final<|message|>Hello."));
  EXPECT_FALSE(no_call.Begins(thought + "<|channel|>commentary<|message|>"));

  const Format regex(Channels(GrammarSource::Kind::kRegex), controls);
  EXPECT_TRUE(regex.Takes(thought + "<|channel|>final<|message|>abc"));
  EXPECT_TRUE(regex.Takes("<|channel|>final<|message|>abc"));
  EXPECT_FALSE(regex.Begins("abc"));
}

}  // namespace
}  // namespace tandem
