#include "engine/sampling/token_constraint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/grammar/grammar_source.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// Letters, two words, and two ends that have no text.
const std::vector<absl::string_view>& Texts() {
  static const auto* const texts = new std::vector<absl::string_view>{
      "a", "b", "c", "ab", "bca", "", "", "1", "{", "}", "[", "]"};
  return *texts;
}
constexpr TokenId kEnd = 5;
constexpr TokenId kOtherEnd = 6;

std::shared_ptr<const TokenMasks> Compile(const GrammarSource& source) {
  auto grammar = CompileGrammar(source);
  EXPECT_TRUE(grammar.ok()) << grammar.status();
  return std::make_shared<const TokenMasks>(
      *std::move(grammar), std::make_shared<const TokenTrie>(Texts()));
}

std::shared_ptr<const TokenMasks> Regex(const std::string& text) {
  return Compile({.kind = GrammarSource::Kind::kRegex, .text = text});
}

// The ids that Apply leaves.
std::vector<TokenId> Left(TokenConstraint* constraint) {
  std::vector<float> logits(Texts().size(), 1.0f);
  EXPECT_TRUE(constraint->Apply(absl::MakeSpan(logits)).ok());
  std::vector<TokenId> ids;
  for (size_t id = 0; id < logits.size(); ++id) {
    if (!std::isinf(logits[id])) ids.push_back(static_cast<TokenId>(id));
  }
  return ids;
}

std::string ReasonOf(const absl::Status& status) {
  const auto detail = GetErrorDetail(status);
  return detail.has_value() ? detail->reason : "";
}

TEST(TokenConstraintTest, WithoutAGrammarNothingIsBound) {
  TokenConstraint none;
  EXPECT_FALSE(none.is_binding());
  EXPECT_TRUE(none.Append(3).ok());
  EXPECT_TRUE(none.Allows(7));
  EXPECT_FALSE(none.is_over());
  EXPECT_EQ(Left(&none).size(), Texts().size());
  none.Truncate(0);
  EXPECT_EQ(none.length(), 0);
}

TEST(TokenConstraintTest, EndsComeWhereTheTextMayEnd) {
  TokenConstraint constraint(
      {.masks = Regex("ab+"), .stop_tokens = {kOtherEnd, kEnd}});
  EXPECT_THAT(Left(&constraint), ElementsAre(0, 3));
  EXPECT_FALSE(constraint.Allows(kEnd));
  ASSERT_TRUE(constraint.Append(0).ok());
  EXPECT_THAT(Left(&constraint), ElementsAre(1));
  ASSERT_TRUE(constraint.Append(1).ok());
  EXPECT_THAT(Left(&constraint), ElementsAre(1, kEnd, kOtherEnd));
  EXPECT_TRUE(constraint.Allows(kEnd));
  EXPECT_FALSE(constraint.is_over());
  ASSERT_TRUE(constraint.Append(kEnd).ok());
  EXPECT_TRUE(constraint.is_over());
  EXPECT_THAT(Left(&constraint), IsEmpty());
  constraint.Truncate(2);
  EXPECT_FALSE(constraint.is_over());
  EXPECT_THAT(Left(&constraint), ElementsAre(1, kEnd, kOtherEnd));
  constraint.Truncate(0);
  EXPECT_THAT(Left(&constraint), ElementsAre(0, 3));
}

// A stop token is an end, also where its text would go on.
TEST(TokenConstraintTest, AStopTokenIsNoText) {
  TokenConstraint constraint({.masks = Regex("ab+"), .stop_tokens = {kEnd, 1}});
  ASSERT_TRUE(constraint.Append(0).ok());
  EXPECT_THAT(Left(&constraint), IsEmpty());
  constraint.Truncate(0);
  ASSERT_TRUE(constraint.Append(3).ok());
  EXPECT_THAT(Left(&constraint), ElementsAre(1, kEnd));
  ASSERT_TRUE(constraint.Append(1).ok());
  EXPECT_TRUE(constraint.is_over());
}

// "a", "{", "}" and the control tokens <call> and <end>.
constexpr TokenId kCall = 3;
constexpr TokenId kEndOfCall = 4;

std::shared_ptr<const TokenMasks> CompileTag(const std::string& end) {
  const std::vector<absl::string_view> texts = {"a", "{", "}", "", ""};
  const std::vector<absl::string_view> names = {"", "", "", "<call>", "<end>"};
  auto trie = std::make_shared<const TokenTrie>(texts, names);
  auto grammar =
      CompileGrammar({.kind = GrammarSource::Kind::kTags,
                      .tags = {.tags = {{.begin = "<call>", .end = end}},
                               .trigger = "<call>",
                               .tags_max = 1}},
                     *trie);
  EXPECT_TRUE(grammar.ok()) << grammar.status();
  return std::make_shared<const TokenMasks>(*std::move(grammar), trie);
}

TEST(TokenConstraintTest, AnEndThatTheGrammarNamesComesThereToo) {
  TokenConstraint constraint(
      {.masks = CompileTag("<end>"), .stop_tokens = {kEndOfCall}});
  const auto left = [&constraint] {
    std::vector<float> logits(5, 1.0f);
    EXPECT_TRUE(constraint.Apply(absl::MakeSpan(logits)).ok());
    std::vector<TokenId> ids;
    for (TokenId id = 0; id < 5; ++id) {
      const bool is_left = !std::isinf(logits[static_cast<size_t>(id)]);
      EXPECT_EQ(constraint.Allows(id), is_left) << id;
      if (is_left) ids.push_back(id);
    }
    return ids;
  };
  EXPECT_THAT(left(), ElementsAre(0, 1, 2, kCall, kEndOfCall));  // free text
  for (const TokenId token : {0, 3, 1}) {
    ASSERT_TRUE(constraint.Append(token).ok());
  }
  EXPECT_THAT(left(), ElementsAre(2));
  ASSERT_TRUE(constraint.Append(2).ok());
  EXPECT_THAT(left(), ElementsAre(kEndOfCall));
  EXPECT_FALSE(constraint.is_over());
  ASSERT_TRUE(constraint.Append(kEndOfCall).ok());
  EXPECT_TRUE(constraint.is_over());
  constraint.Truncate(3);
  EXPECT_EQ(ReasonOf(constraint.Append(kEndOfCall)), kReasonInvalidToken);
}

TEST(TokenConstraintTest, AnEndThatTheGrammarNamesIsTextWhereItEndsNothing) {
  TokenConstraint constraint({.masks = CompileTag("<end>a")});
  for (const TokenId token : {3, 1, 2, 4, 0}) {
    ASSERT_TRUE(constraint.Append(token).ok()) << token;
  }
  EXPECT_TRUE(constraint.is_over());
}

TEST(TokenConstraintTest, ItIsOverWhereTheTextCanOnlyEnd) {
  TokenConstraint constraint({.masks = Regex("abc?"), .stop_tokens = {kEnd}});
  ASSERT_TRUE(constraint.Append(3).ok());
  EXPECT_FALSE(constraint.is_over());
  ASSERT_TRUE(constraint.Append(2).ok());
  EXPECT_TRUE(constraint.is_over());
}

TEST(TokenConstraintTest, MinTokensYieldsWhereThereIsNothingButTheEnd) {
  TokenConstraint plain({.stop_tokens = {kEnd, kOtherEnd}, .min_tokens = 2});
  EXPECT_TRUE(plain.is_binding());
  EXPECT_EQ(Left(&plain).size(), Texts().size() - 2);
  ASSERT_TRUE(plain.Append(0).ok());
  ASSERT_TRUE(plain.Append(0).ok());
  EXPECT_FALSE(plain.is_binding());
  EXPECT_EQ(Left(&plain).size(), Texts().size());

  TokenConstraint bound(
      {.masks = Regex("a*b?"), .stop_tokens = {kEnd}, .min_tokens = 3});
  EXPECT_THAT(Left(&bound), ElementsAre(0, 1, 3));
  ASSERT_TRUE(bound.Append(1).ok());
  EXPECT_THAT(Left(&bound), ElementsAre(kEnd));
  bound.Truncate(0);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(bound.Append(0).ok());
  EXPECT_THAT(Left(&bound), ElementsAre(0, 1, 3, kEnd));
}

TEST(TokenConstraintTest, WhatDoesNotGoOnIsAnErrorUntilItIsTakenBack) {
  TokenConstraint constraint({.masks = Regex("a+"), .stop_tokens = {kEnd}});
  EXPECT_EQ(ReasonOf(constraint.Append(kEnd)), kReasonInvalidToken);
  constraint.Truncate(0);
  ASSERT_TRUE(constraint.Append(0).ok());
  EXPECT_EQ(ReasonOf(constraint.Append(2)), kReasonInvalidToken);
  EXPECT_EQ(ReasonOf(constraint.Append(0)), kReasonInvalidToken);
  std::vector<float> logits(Texts().size(), 1.0f);
  EXPECT_EQ(ReasonOf(constraint.Apply(absl::MakeSpan(logits))),
            kReasonInvalidToken);
  EXPECT_FALSE(constraint.is_over());
  EXPECT_FALSE(constraint.Allows(0));
  constraint.Truncate(1);
  EXPECT_THAT(Left(&constraint), ElementsAre(0, kEnd));
}

TEST(TokenConstraintTest, ATextThatBecomesTooDeepIsAnErrorOfTheRequest) {
  TokenConstraint constraint(
      {.masks = Compile({.kind = GrammarSource::Kind::kGbnf,
                         .text = "root ::= \"[\" root \"]\" | \"1\""}),
       .stop_tokens = {kEnd}});
  absl::Status status;
  int depth = 0;
  for (; status.ok() && depth < 100'000; ++depth)
    status = constraint.Append(10);
  EXPECT_EQ(ReasonOf(status), kReasonInvalidOptions);
  EXPECT_EQ(GetErrorDetail(status)->violations[0].field, "response_format");
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(absl::StrCat("token ", depth - 1)));
}

// Every token by itself, whatever was taken back before.
TEST(TokenConstraintTest, EqualsReadingEachTokenAnew) {
  std::mt19937_64 random(5);
  for (const char* regex :
       {"[abc]{2,9}", "(ab|bca)*c", "(a|ab)(c|bca)?b*", "a{3}b{1,2}c*"}) {
    const auto masks = Regex(regex);
    TokenConstraint constraint({.masks = masks, .stop_tokens = {kEnd}});
    std::vector<TokenId> tokens;
    for (int step = 0; step < 300; ++step) {
      const std::vector<TokenId> left = Left(&constraint);
      std::vector<TokenId> expected;
      for (TokenId id = 0; id < static_cast<TokenId>(Texts().size()); ++id) {
        GrammarMatcher anew(masks);
        for (const TokenId token : tokens) ASSERT_TRUE(anew.Accept(token).ok());
        const bool allowed = id == kEnd ? anew.may_end() : anew.Accept(id).ok();
        if (allowed) expected.push_back(id);
        ASSERT_EQ(constraint.Allows(id), allowed);
      }
      ASSERT_EQ(left, expected) << regex;
      std::vector<TokenId> texts = left;
      if (!texts.empty() && texts.back() == kEnd) texts.pop_back();
      if (texts.empty() || random() % 4 == 0) {
        tokens.resize(random() % (tokens.size() + 1));
        constraint.Truncate(static_cast<int64_t>(tokens.size()));
        continue;
      }
      tokens.push_back(texts[random() % texts.size()]);
      ASSERT_TRUE(constraint.Append(tokens.back()).ok());
    }
  }
}

}  // namespace
}  // namespace tandem
