#include "engine/grammar/grammar_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

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
  }
}

}  // namespace
}  // namespace tandem
