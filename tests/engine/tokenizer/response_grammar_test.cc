#include "engine/tokenizer/response_grammar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "engine/base/error_reason.h"
#include "tests/engine/tokenizer/test_vocabulary.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Kind = GrammarSource::Kind;

constexpr TokenId kEos = 2;

// Bytes, and "ab".
std::unique_ptr<Tokenizer> MakeTokenizer() {
  TestVocabulary vocabulary = TestVocabulary::WithBytes();
  vocabulary.Add("ab");
  GgufWriter writer = vocabulary.Writer();
  writer.SetUint32("tokenizer.ggml.bos_token_id", 1);
  writer.SetUint32("tokenizer.ggml.eos_token_id", kEos);
  writer.SetUint32("tokenizer.ggml.unknown_token_id", 0);
  const auto file = GgufFile::FromBytes(writer.Serialize(), "test");
  return std::move(Tokenizer::FromGguf(**file)).value();
}

GenOptions With(GrammarSource format) {
  GenOptions options;
  options.response_format = std::move(format);
  return options;
}

TEST(CompileResponseFormatTest, IsKeptByTheTokenizer) {
  const auto tokenizer = MakeTokenizer();
  EXPECT_EQ(*CompileResponseFormat(*tokenizer, GenOptions()), nullptr);
  const GenOptions options = With({.kind = Kind::kRegex, .text = "(ab)+"});
  const auto first = CompileResponseFormat(*tokenizer, options);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ((*first)->trie().vocab_size(), tokenizer->vocab_size());
  // Special tokens have no text in grammars, but a name.
  EXPECT_EQ((*first)->trie().text(kEos), "\xFF</s>\xFE");
  EXPECT_EQ(*CompileResponseFormat(*tokenizer, options), *first);
}

TEST(CompileResponseFormatTest, ErrorsNameTheFieldOfTheKind) {
  const auto tokenizer = MakeTokenizer();
  for (const auto& [source, field] :
       std::vector<std::pair<GrammarSource, std::string>>{
           {{.kind = Kind::kJsonSchema, .text = "{"},
            "response_format.json_schema"},
           {{.kind = Kind::kRegex, .text = "("}, "response_format.regex"},
           {{.kind = Kind::kGbnf, .text = "x"}, "response_format.grammar"},
           {{.kind = Kind::kChoices}, "response_format.choices"},
           {{.kind = Kind::kTags}, "response_format.tags"},
           {{.kind = Kind::kJsonObject, .preamble_begin = "<think>"},
            "response_format"}}) {
    const absl::Status status =
        CompileResponseFormat(*tokenizer, With(source)).status();
    const auto detail = GetErrorDetail(status);
    ASSERT_TRUE(detail.has_value()) << field;
    EXPECT_EQ(detail->reason, kReasonInvalidOptions);
    EXPECT_EQ(detail->violations[0].field, field);
    EXPECT_THAT(std::string(status.message()), HasSubstr(field));
  }
  EXPECT_EQ(ResponseFormatField(Kind::kJsonObject),
            "response_format.json_object");
}

// Special tokens are in no mask, but where a format names them.
TEST(CompileResponseFormatTest, TagsNameSpecialTokens) {
  const auto tokenizer = MakeTokenizer();
  const auto masks = CompileResponseFormat(
      *tokenizer, With({.kind = Kind::kTags,
                        .tags = {.tags = {{.begin = "<s>ab", .end = "</s>"}},
                                 .trigger = "<s>",
                                 .tags_max = 1}}));
  ASSERT_TRUE(masks.ok()) << masks.status();
  GrammarMatcher matcher(*masks);
  const auto byte = [](char c) { return static_cast<TokenId>(3 + c); };
  EXPECT_FALSE(matcher.IsAllowed(kEos));
  for (const TokenId token : {byte('x'), 1, 259, byte('{'), byte('}'), kEos}) {
    ASSERT_TRUE(matcher.Accept(token).ok()) << token;
  }
  EXPECT_TRUE(matcher.only_ends());
}

TEST(StopTokensTest, AreThoseThatEndTurns) {
  const auto tokenizer = MakeTokenizer();
  GenOptions options;
  options.stop_token_ids = {7};
  EXPECT_THAT(StopTokens(*tokenizer, options), ElementsAre(7, kEos));
  for (TokenId id = 0; id < tokenizer->vocab_size(); ++id) {
    EXPECT_EQ(IsStopToken(*tokenizer, options, id), id == 7 || id == kEos);
  }
  options.ignore_eos = true;
  EXPECT_THAT(StopTokens(*tokenizer, options), ElementsAre(7));
  EXPECT_FALSE(IsStopToken(*tokenizer, options, kEos));
}

TEST(ConstraintOfTest, HasTheGrammarAndTheEnds) {
  const auto tokenizer = MakeTokenizer();
  EXPECT_FALSE(ConstraintOf(*tokenizer, GenOptions(), nullptr).is_binding());
  GenOptions options = With({.kind = Kind::kRegex, .text = "ab?"});
  options.min_tokens = 2;
  TokenConstraint constraint = ConstraintOf(
      *tokenizer, options, *CompileResponseFormat(*tokenizer, options));
  ASSERT_TRUE(constraint.has_grammar());
  const TokenId a = 3 + 'a';
  ASSERT_TRUE(constraint.Append(a).ok());
  EXPECT_TRUE(constraint.Allows(kEos));
  std::vector<float> logits(static_cast<size_t>(tokenizer->vocab_size()), 0);
  ASSERT_TRUE(constraint.Apply(absl::MakeSpan(logits)).ok());
  EXPECT_TRUE(std::isinf(logits[kEos]));  // not before two tokens
  EXPECT_FALSE(std::isinf(logits[a + 1]));
}

}  // namespace
}  // namespace tandem
