#include "engine/grammar/grammar_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/grammar/automaton/grammar_builder.h"
#include "tests/engine/grammar/oracle/grammar_test_util.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;
using Kind = GrammarSource::Kind;

std::vector<GrammarSource> Sources() {
  return {
      {.kind = Kind::kJsonObject},
      {.kind = Kind::kRegex, .text = "(a|b)+ [0-9]{2,60}"},
      {.kind = Kind::kGbnf, .text = "root ::= \"yes\" | \"no\" root"},
      {.kind = Kind::kChoices, .choices = {"red", "green", "gr\xC3\xBCn"}},
      {.kind = Kind::kJsonSchema, .text = R"({"type": "object", "properties": {
         "name": {"type": "string", "maxLength": 100},
         "kind": {"enum": ["cat", "dog", 7]},
         "born": {"type": "string", "format": "date"},
         "tags": {"type": "array", "items": {"type": "string",
                  "pattern": "^[a-z]+$"}, "maxItems": 50},
         "weight": {"type": "number", "minimum": 0.5, "maximum": 99},
         "parent": {"$ref": "#"}}, "required": ["name", "weight"]})"}};
}

// "</s>" is a control token of some vocabularies, and text in others.
std::vector<GrammarSource> SourcesWithMarks() {
  const TextTags tags{
      .tags = {{.begin = "</s>{\"name\": \"f\", \"arguments\": ",
                .json_schema = R"({"type": "object", "properties": {
                    "x": {"type": "string"}}})",
                .end = "}"}},
      .trigger = "</s>",
      .separator = "\n"};
  TextTags called = tags;
  called.tags_min = 1;
  return {{.kind = Kind::kTags, .tags = tags},
          {.kind = Kind::kTags, .tags = called},
          {.kind = Kind::kTags,
           .tags = {.trigger = "the", .trigger_at_start = true}},
          {.kind = Kind::kTags,
           .tags = called,
           .preamble_begin = "<think>",
           .preamble_end = "</think>"},
          {.kind = Kind::kJsonObject, .preamble_end = " "},
          {.kind = Kind::kChoices,
           .choices = {"red", "green"},
           .preamble_begin = "</s>",
           .preamble_end = ".",
           .answer_begin = ": "}};
}

TEST(GrammarSourceTest, EveryKindCompiles) {
  const std::vector<std::string> texts = {
      "{\"a\": [1]}", "ab 123", "nonoyes", "gr\xC3\xBCn",
      R"({"name": "x", "weight": 1.5, "parent": {"name": "", "weight": 1}})"};
  const std::vector<GrammarSource> sources = Sources();
  for (size_t i = 0; i < sources.size(); ++i) {
    const auto grammar = CompileGrammar(sources[i]);
    ASSERT_TRUE(grammar.ok()) << grammar.status();
    for (size_t j = 0; j < texts.size(); ++j) {
      // A schema's text is any JSON object too.
      EXPECT_EQ(Matches(*grammar, texts[j]), i == j || (i == 0 && j == 4));
    }
  }
}

TEST(GrammarSourceTest, ErrorsSayWhere) {
  const auto error = [](const GrammarSource& source) {
    const absl::Status status = CompileGrammar(source).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(error({.kind = Kind::kRegex, .text = "a("}),
              HasSubstr("character 2: "));
  EXPECT_THAT(error({.kind = Kind::kRegex, .text = "a[]"}),
              HasSubstr("nothing matches"));
  EXPECT_THAT(error({.kind = Kind::kGbnf, .text = "root ::= x"}),
              HasSubstr("line 1, column 10: "));
  EXPECT_THAT(error({.kind = Kind::kJsonSchema, .text = "{\"not\": {}}"}),
              HasSubstr("/not: "));
  EXPECT_THAT(error({.kind = Kind::kJsonSchema, .text = "{"}),
              HasSubstr("is no JSON"));
  EXPECT_THAT(error({.kind = Kind::kChoices}), HasSubstr("1 to 10000 choices"));
  EXPECT_THAT(error({.kind = Kind::kChoices, .choices = {"a", ""}}),
              HasSubstr("choice 1: is empty"));
  EXPECT_THAT(error({.kind = Kind::kChoices, .choices = {"\xFF"}}),
              HasSubstr("choice 0: is not UTF-8"));
  EXPECT_THAT(error({.kind = Kind::kTags}), HasSubstr("trigger: is empty"));
  EXPECT_THAT(error({.preamble_begin = "<think>"}),
              HasSubstr("preamble_begin: is set without preamble_end"));
  EXPECT_THAT(error({.preamble_end = std::string(kPreambleBytesMax + 1, 'x')}),
              HasSubstr("preamble_end: has 257 bytes, more than 256"));
  EXPECT_THAT(error({.preamble_begin = std::string(kPreambleBytesMax + 1, 'x'),
                     .preamble_end = "x"}),
              HasSubstr("preamble_begin: has 257 bytes"));
  EXPECT_THAT(error({.preamble_begin = "x", .preamble_end = "a\xFE"}),
              HasSubstr("preamble_end: is not UTF-8 at byte 1"));
  EXPECT_THAT(error({.answer_begin = std::string(kPreambleBytesMax + 1, 'x')}),
              HasSubstr("answer_begin: has 257 bytes, more than 256"));
  const std::string long_text(kGrammarSourceBytesMax + 1, ' ');
  EXPECT_THAT(error({.kind = Kind::kJsonSchema, .text = long_text}),
              HasSubstr("bytes, more than"));
  EXPECT_THAT(error({.kind = Kind::kChoices, .choices = {long_text}}),
              HasSubstr("bytes, more than"));
}

TEST(GrammarSourceTest, KeysTellSourcesApart) {
  std::set<std::string> keys;
  for (const GrammarSource& source : Sources()) keys.insert(KeyOf(source));
  keys.insert(KeyOf({.kind = Kind::kChoices, .choices = {"red", "green"}}));
  keys.insert(KeyOf({.kind = Kind::kChoices, .choices = {"redgreen"}}));
  keys.insert(KeyOf({.kind = Kind::kRegex, .text = "a"}));
  keys.insert(KeyOf({.kind = Kind::kGbnf, .text = "a"}));
  EXPECT_EQ(keys.size(), Sources().size() + 4);
}

TEST(GrammarSourceTest, EveryFieldIsInTheKeyAndInTheBytes) {
  const GrammarSource plain = SourcesWithMarks()[0];
  std::vector<GrammarSource> sources(15, plain);
  size_t i = 0;
  sources[i++].tags.tags[0].begin += "x";
  sources[i++].tags.tags[0].json_schema += "x";
  sources[i++].tags.tags[0].end += "x";
  sources[i++].tags.trigger += "x";
  sources[i++].tags.section_begin += "x";
  sources[i++].tags.separator += "x";
  sources[i++].tags.section_end += "x";
  sources[i++].preamble_begin += "x";
  sources[i++].preamble_end += "x";
  sources[i++].answer_begin += "x";
  const size_t texts = i;
  sources[i++].tags.trigger_at_start = true;
  sources[i++].tags.tags_min = 1;
  sources[i++].tags.tags_max = 1;
  sources[i++].tags.tags.push_back({});
  // The same texts in another order of fields.
  std::swap(sources[i].tags.separator, sources[i].tags.section_end);
  std::set<std::string> keys = {KeyOf(plain)};
  for (size_t j = 0; j < sources.size(); ++j) {
    EXPECT_TRUE(keys.insert(KeyOf(sources[j])).second) << j;
    EXPECT_EQ(BytesOf(sources[j]), BytesOf(plain) + (j < texts ? 1 : 0)) << j;
  }
  EXPECT_NE(KeyOf({.kind = Kind::kChoices, .choices = {"a", "", "", ""}}),
            KeyOf({.kind = Kind::kChoices, .choices = {"a"}}));
}

// What stands before the text of the grammar, and whether it must.
TEST(GrammarSourceTest, APreambleStandsBeforeAnyKind) {
  const std::vector<std::string> texts = {"{\"a\": [1]}", "ab 123", "nonoyes",
                                          "green"};
  const std::vector<GrammarSource> sources = Sources();
  for (size_t i = 0; i < texts.size(); ++i) {
    GrammarSource source = sources[i];
    source.preamble_end = "</think>";
    Grammar grammar = *CompileGrammar(source);
    for (const char* before :
         {"</think>", "so\n</think>\n\n", "<think> </thin </think> "}) {
      EXPECT_TRUE(Matches(grammar, before + texts[i])) << before << texts[i];
    }
    for (const char* before :
         {"", "so", "a</think>x", "</think>\n\n\n", "</think></think>", "\n"}) {
      EXPECT_FALSE(Matches(grammar, before + texts[i])) << before << texts[i];
    }
    source.preamble_begin = "<think>";
    grammar = *CompileGrammar(source);
    for (const char* before : {"", "<think></think>", "\n<think>so</think>\n\n",
                               "<think><think></think>"}) {
      EXPECT_TRUE(Matches(grammar, before + texts[i])) << before << texts[i];
    }
    for (const char* before :
         {"so</think>", "<think>", "</think>", "\n", "a<think></think>"}) {
      EXPECT_FALSE(Matches(grammar, before + texts[i])) << before << texts[i];
    }
  }
}

TEST(GrammarSourceTest, APreambleHasTheControlTokensOfItsMarksAlone) {
  const auto trie = ByteTrie({}, {"<think>", "</think>", "<tool>"});
  const Grammar grammar = *CompileGrammar({.kind = Kind::kChoices,
                                           .choices = {"yes"},
                                           .preamble_begin = "<think>",
                                           .preamble_end = "</think>"},
                                          *trie);
  const auto takes = [&](absl::string_view text) {
    return Matches(grammar, trie->WithControlTokens(text));
  };
  EXPECT_TRUE(takes("yes"));
  EXPECT_TRUE(takes("<think>a\n</think>\nyes"));
  EXPECT_FALSE(takes("<think><think></think>yes"));
  EXPECT_FALSE(takes("<think><tool></think>yes"));
  EXPECT_FALSE(Matches(grammar, "<think></think>yes"));  // spelt out
}

// A trigger within the preamble is text of it.
TEST(GrammarSourceTest, APreambleStandsBeforeTags) {
  const std::string call = "<t>{}</t>";
  GrammarSource source{
      .kind = Kind::kTags,
      .tags = {.tags = {{.begin = "<t>", .end = "</t>"}}, .trigger = "<t>"},
      .preamble_begin = "<think>",
      .preamble_end = "</think>"};
  const Grammar free = *CompileGrammar(source);
  for (const std::string& text : std::vector<std::string>{
           "", "so " + call, call, "<thin" + call,
           "<think><t> or not </think>" + call, " <think></think>\n\nso",
           "so <think>" + call, "<think></think>so </think>" + call}) {
    EXPECT_TRUE(Matches(free, text)) << text;
  }
  for (const std::string& text :
       std::vector<std::string>{"<think>", "<think>" + call, "\n<think>so",
                                "<think></think>" + call + "."}) {
    EXPECT_FALSE(Matches(free, text)) << text;
  }
  source.tags.tags_min = 1;
  const Grammar called = *CompileGrammar(source);
  EXPECT_TRUE(Matches(called, call));
  EXPECT_TRUE(Matches(called, "\n" + call));
  EXPECT_TRUE(Matches(called, "<think><t></think>\n\n" + call));
  EXPECT_FALSE(Matches(called, "<think></think>so " + call));
  EXPECT_FALSE(Matches(called, ""));
  source.preamble_begin = "";
  const Grammar always = *CompileGrammar(source);
  EXPECT_TRUE(Matches(always, "<t>so</think>\n\n" + call));
  EXPECT_FALSE(Matches(always, call));
}

TEST(GrammarSourceTest, APreambleMayBeLong) {
  const Grammar grammar =
      *CompileGrammar({.kind = Kind::kJsonObject, .preamble_end = "</think>"});
  std::string text;
  while (text.size() < 100'000) absl::StrAppend(&text, "so </think \xC3\xA9");
  EXPECT_TRUE(Matches(grammar, text + "</think>{}"));
}

TEST(GrammarSourceTest, MasksAreThoseOfTheOracleOnWholeVocabularies) {
  const auto tokenizers = KnownTokenizers();
  if (tokenizers.empty()) GTEST_SKIP() << "no vocabularies beside the checkout";
  std::mt19937_64 random(2);
  for (const auto& tokenizer : tokenizers) {
    const auto trie = TrieOf(*tokenizer);
    for (const GrammarSource& source : Sources()) {
      ExpectMasksOfOracle(*CompileGrammar(source), trie, /*texts=*/2,
                          /*tokens=*/10, &random);
    }
    for (const GrammarSource& source : SourcesWithMarks()) {
      ExpectMasksOfOracle(*CompileGrammar(source, *trie), trie, /*texts=*/2,
                          /*tokens=*/10, &random);
    }
  }
}

}  // namespace
}  // namespace tandem
