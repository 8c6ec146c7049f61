#include "engine/grammar/json/object_rules.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/engine/grammar/oracle/grammar_test_util.h"

namespace tandem {
namespace {

TEST(ObjectRulesTest, MembersComeInOrderAndOthersAfterThem) {
  GrammarBuilder b;
  JsonRules rules(&b);
  const std::vector<ObjectMember> members = {{"a", rules.integer(), false},
                                             {"ab", rules.integer(), true},
                                             {"b\"", rules.integer(), false}};
  const Grammar grammar = GrammarOf(
      &b,
      ObjectOf(members, b.Literal("true"), {.most = kUnbounded}, &rules, &b));
  for (const char* text :
       {"{\"ab\":1}", "{\"a\": 1, \"ab\": 2}", "{\"ab\":1,\"b\\\"\":3}",
        "{\n  \"a\": 1,\n  \"ab\": 1,\n  \"b\\\"\": 1,\n  \"c\": true\n}",
        "{\"ab\":1,\"\":true,\"abc\":true,\"b\":true,\"b\\\"\\\"\":true}"}) {
    EXPECT_TRUE(Matches(grammar, text)) << text;
  }
  for (const char* text :
       {"{}", "{\"a\":1}", "{\"ab\":1,\"a\":1}", "{\"ab\":1,\"ab\":1}",
        "{\"ab\":1,\"a\":true}", "{\"ab\":1,\"\\u0061\":true}",
        "{\"ab\":1,\"c\":1}", "{\"ab\":1,}", "{\"ab\":1 \"c\":true}"}) {
    EXPECT_FALSE(Matches(grammar, text)) << text;
  }
}

TEST(ObjectRulesTest, OptionalMembersMayAllBeMissing) {
  for (const uint32_t least : {0u, 1u}) {
    GrammarBuilder b;
    JsonRules rules(&b);
    const std::vector<ObjectMember> members = {{"a", rules.integer(), false},
                                               {"b", rules.integer(), false}};
    const Grammar grammar = GrammarOf(
        &b, ObjectOf(members, b.Never(), {.least = least, .most = kUnbounded},
                     &rules, &b));
    EXPECT_EQ(Matches(grammar, "{}"), least == 0);
    EXPECT_TRUE(Matches(grammar, "{\"a\":1}"));
    EXPECT_TRUE(Matches(grammar, "{\"b\":1}"));
    EXPECT_TRUE(Matches(grammar, "{\"a\":1,\"b\":1}"));
    EXPECT_FALSE(Matches(grammar, "{\"c\":1}"));
    EXPECT_FALSE(Matches(grammar, "{\"b\":1,\"a\":1}"));
  }
}

TEST(ObjectRulesTest, MapsCountTheirMembers) {
  GrammarBuilder b;
  JsonRules rules(&b);
  const Grammar grammar = GrammarOf(
      &b, ObjectOf({}, rules.integer(), {.least = 1, .most = 2}, &rules, &b));
  EXPECT_FALSE(Matches(grammar, "{}"));
  EXPECT_TRUE(Matches(grammar, "{\"\\u0061\": 1}"));
  EXPECT_TRUE(Matches(grammar, "{\"a\":1,\"b\":2}"));
  EXPECT_FALSE(Matches(grammar, "{\"a\":1,\"b\":2,\"c\":3}"));
}

std::string ListOf(size_t items) {
  std::string text = "[";
  for (size_t i = 0; i < items; ++i) text += i < 2 ? ",true" : ",1";
  if (items > 0) text.erase(1, 1);
  return text + "]";
}

TEST(ObjectRulesTest, ArraysCountTheirItems) {
  for (uint32_t least = 0; least < 5; ++least) {
    for (const uint32_t most : {0u, 1u, 2u, 3u, 5u, 100u, kUnbounded}) {
      if (least > most) continue;
      GrammarBuilder b;
      JsonRules rules(&b);
      const ExprId yes = b.Literal("true");
      const Grammar grammar = GrammarOf(
          &b, ArrayOf({yes, yes}, rules.integer(), {least, most}, &rules, &b));
      for (size_t items = 0; items < 8; ++items) {
        EXPECT_EQ(Matches(grammar, ListOf(items)),
                  least <= items && items <= most)
            << least << " " << most << " " << items;
      }
    }
  }
}

TEST(ObjectRulesTest, NoMoreItemsThanThePrefix) {
  GrammarBuilder b;
  JsonRules rules(&b);
  const Grammar grammar =
      GrammarOf(&b, ArrayOf({b.Literal("true"), b.Literal("true")}, b.Never(),
                            {.most = kUnbounded}, &rules, &b));
  EXPECT_TRUE(Matches(grammar, "[]"));
  EXPECT_TRUE(Matches(grammar, "[\n true\n]"));
  EXPECT_TRUE(Matches(grammar, "[true, true]"));
  EXPECT_FALSE(Matches(grammar, "[true,true,1]"));
}

}  // namespace
}  // namespace tandem
