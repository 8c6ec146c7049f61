#include "engine/grammar/json/json_rules.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "tests/engine/grammar/oracle/grammar_test_util.h"

namespace tandem {
namespace {

Grammar AnyValue() {
  GrammarBuilder b;
  return GrammarOf(&b, JsonRules(&b).value());
}

TEST(JsonRulesTest, TakesJsonInEveryUsualLayout) {
  const Grammar grammar = AnyValue();
  for (const char* text : {"null",
                           "true",
                           "false",
                           "0",
                           "-0",
                           "12",
                           "-1.5e-10",
                           "2E+3",
                           "\"\"",
                           "[]",
                           "[ ]",
                           "{}",
                           "{\n}",
                           "[1,2]",
                           "[1, 2]",
                           "{\"a\":1,\"b\":[]}",
                           "{\"a\": 1, \"b\": {}}",
                           "{\n  \"a\": [\n    1,\n    2\n  ]\n}",
                           "{\n\t\"a\": null\n}",
                           "\"\\u00e9\\n\\/\\\"\"",
                           "\"\\uD83D\\uDE00\"",
                           "\"\xF0\x9F\x98\x80\x7F\""}) {
    EXPECT_TRUE(Matches(grammar, text)) << text;
    EXPECT_TRUE(nlohmann::json::accept(text)) << text;
  }
}

TEST(JsonRulesTest, RefusesWhatIsNoJson) {
  const Grammar grammar = AnyValue();
  for (const char* text : {"",
                           "nul",
                           "01",
                           "1.",
                           ".5",
                           "+1",
                           "1e",
                           "\"",
                           "\"\n\"",
                           "\"\\x\"",
                           "\"\\uD83D\"",
                           "\"\\uDE00\"",
                           "\"\\uD83Dx\"",
                           "\"\xFF\"",
                           "\"\xC3\"",
                           "\"\xED\xA0\x80\"",
                           "[1,]",
                           "[,1]",
                           "[1 2]",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{a:1}",
                           "{\"a\":1,}",
                           "[}",
                           "[1",
                           "'a'",
                           "1 1"}) {
    EXPECT_FALSE(Matches(grammar, text)) << text;
    EXPECT_FALSE(nlohmann::json::accept(text)) << text;
  }
}

TEST(JsonRulesTest, BoundsWhiteSpace) {
  const Grammar grammar = AnyValue();
  for (const char* text : {" 1", "1 ", "[  1]", "[\n\n1]", "{\"a\" :1}",
                           "[1 ,2]", "{\"a\":  1}", "{\"a\":\n1}", "[\t1]"}) {
    EXPECT_FALSE(Matches(grammar, text)) << text;
    EXPECT_TRUE(nlohmann::json::accept(text)) << text;
  }
  EXPECT_TRUE(Matches(grammar, "[\n" + std::string(64, ' ') + "1]"));
  EXPECT_FALSE(Matches(grammar, "[\n" + std::string(65, ' ') + "1]"));
  EXPECT_TRUE(Matches(grammar, "[\n" + std::string(16, '\t') + "1]"));
}

TEST(JsonRulesTest, CanonicalStringsAreThoseOfTheLibrary) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 500; ++round) {
    std::string text;
    for (int i = 0; i < 8; ++i) {
      auto c =
          static_cast<uint32_t>(random() % (random() % 2 ? 0x80 : 0x20000));
      if (c >= 0xD800 && c < 0xE000) c = 'x';
      AppendUtf8Of(c, &text);
    }
    EXPECT_EQ(CanonicalString(text), nlohmann::json(text).dump());
    GrammarBuilder b;
    JsonRules rules(&b);
    const Grammar canonical = GrammarOf(
        &b, b.Sequence({b.Literal("\""),
                        b.Star(rules.CanonicalCharacter(CharSet::Any())),
                        b.Literal("\"")}));
    if (round < 20) {
      EXPECT_TRUE(Matches(canonical, CanonicalString(text)));
      EXPECT_FALSE(Matches(canonical, "\"\\u0041\""));
    }
  }
}

TEST(JsonRulesTest, IntegersHaveNoFractionAndNoExponent) {
  GrammarBuilder b;
  const Grammar grammar = GrammarOf(&b, JsonRules(&b).integer());
  EXPECT_TRUE(Matches(grammar, "-120"));
  EXPECT_FALSE(Matches(grammar, "1.0"));
  EXPECT_FALSE(Matches(grammar, "1e2"));
}

}  // namespace
}  // namespace tandem
