#include "engine/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "engine/base/error_reason.h"
#include "tests/engine/tokenizer/bpe_vocabulary.h"
#include "tests/engine/tokenizer/test_vocabulary.h"

namespace tandem {
namespace {

constexpr char kModels[] = TANDEM_SOURCE_DIR "/deploy/models/";

TEST(TokenizerTest, RefusesOtherModelsByName) {
  for (const std::string model : {"bert", "rwkv", ""}) {
    GgufWriter writer;
    writer.SetString("tokenizer.ggml.model", model);
    const absl::Status status = MakeTokenizer(writer).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    ASSERT_TRUE(GetErrorDetail(status).has_value());
    EXPECT_EQ(GetErrorDetail(status)->reason, kReasonUnsupportedModel);
    EXPECT_TRUE(absl::StrContains(status.message(), "'" + model + "'"))
        << status;
  }
}

TEST(TokenizerTest, RefusesAFileWithoutModel) {
  const absl::Status absent = MakeTokenizer(GgufWriter()).status();
  EXPECT_EQ(absent.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(GetErrorDetail(absent)->reason, kReasonMalformedFile);
  GgufWriter number;
  number.SetUint32("tokenizer.ggml.model", 1);
  const absl::Status status = MakeTokenizer(number).status();
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonMalformedFile);
  EXPECT_TRUE(absl::StrContains(status.message(), "must be a string"));
}

TEST(TokenizerTest, ParsesSpecialTokensWhereAskedTo) {
  TestVocabulary vocabulary = TestVocabulary::WithBytes();
  const TokenId a = vocabulary.Add("a");
  const TokenId space = vocabulary.Add("\u2581");
  const TokenId user_defined = vocabulary.Add("<u>", TokenKind::kUserDefined);
  const auto tokenizer = MakeTokenizer(vocabulary);
  using Ids = std::vector<TokenId>;
  const EncodeOptions parsed = {.parse_special = true};
  // Each text after a special token begins as a text does.
  EXPECT_EQ(tokenizer->Encode("a<s></s>a<u>", parsed),
            (Ids{space, a, 1, 2, space, a, user_defined}));
  EXPECT_EQ(tokenizer->Encode("<s>", {.add_bos = true, .parse_special = true}),
            (Ids{1, 1}));
  EXPECT_EQ(tokenizer->Encode("<s", parsed), (Ids{space, 3 + '<', 3 + 's'}));
  // Byte tokens have no name in a text.
  EXPECT_EQ(tokenizer->Encode("<0x41>", parsed).size(), 7u);
  EXPECT_EQ(tokenizer->Encode("", parsed), Ids{});
}

TEST(TokenizerTest, ReadsTheChatTemplate) {
  const GgufWriter plain = TestVocabulary::WithBytes().Writer();
  EXPECT_FALSE((*MakeTokenizer(plain))->chat_template().is_known());
  GgufWriter writer = plain;
  writer.SetString("tokenizer.chat_template", "<|im_start|>");
  EXPECT_EQ((*MakeTokenizer(writer))->chat_template().name(), "chatml");
  GgufWriter unknown = plain;
  unknown.SetString("tokenizer.chat_template", std::string(10 << 20, '{'));
  EXPECT_FALSE((*MakeTokenizer(unknown))->chat_template().is_known());
  GgufWriter number = plain;
  number.SetUint32("tokenizer.chat_template", 1);
  EXPECT_EQ(GetErrorDetail(MakeTokenizer(number).status())->reason,
            kReasonMalformedFile);
}

// A worker hands merges, pre-tokeniser and template on with the rest.
TEST(TokenizerTest, TheImageOfAByteLevelVocabularyIsWhole) {
  BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
  vocabulary.pre = "llama-bpe";
  const TokenId merged = vocabulary.Merge("a", "b");
  GgufWriter writer = vocabulary.Writer();
  writer.SetString("tokenizer.chat_template", "<|im_start|>");
  const auto file = GgufFile::FromBytes(writer.Serialize(), "file");
  ASSERT_TRUE(file.ok()) << file.status();
  const auto image = GgufFile::FromBytes(TokenizerImage(**file), "image");
  ASSERT_TRUE(image.ok()) << image.status();
  const auto tokenizer = Tokenizer::FromGguf(**image);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->Encode("abab", false),
            (std::vector<TokenId>{merged, merged}));
  EXPECT_EQ((*tokenizer)->chat_template().name(), "chatml");
  EXPECT_TRUE((*tokenizer)->adds_bos());
}

// The largest known vocabularies have 262,144 tokens and twice as many merges.
TEST(TokenizerTest, TakesManyMerges) {
  BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
  // All pairs of 512 tokens.
  std::vector<std::string> tokens;
  for (char a = 'a'; a < 'a' + 16; ++a) {
    for (char b = 'A'; b < 'A' + 16; ++b) {
      tokens.push_back({a, b});
      vocabulary.Merge(tokens.back().substr(0, 1), tokens.back().substr(1));
    }
  }
  for (const std::string& left : tokens) {
    for (const std::string& right : tokens) vocabulary.Merge(left, right);
  }
  const auto tokenizer = MakeTokenizer(vocabulary.Writer());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->vocab_size(), 256 + 256 + 65536);
  EXPECT_EQ((*tokenizer)->Encode("pPaA", false),
            (std::vector<TokenId>{256 + 256 + 255 * 256}));
}

TEST(TokenizerTest, DecodesWithAndWithoutSpecialTokens) {
  TestVocabulary vocabulary = TestVocabulary::WithBytes();
  const TokenId hello = vocabulary.Add("\u2581hello");
  const TokenId world = vocabulary.Add("\u2581world");
  const auto tokenizer = MakeTokenizer(vocabulary);
  const std::vector<TokenId> ids = {1, hello, world, 2};
  EXPECT_EQ(tokenizer->Decode(ids, /*skip_special=*/true), "hello world");
  EXPECT_EQ(tokenizer->Decode(ids, /*skip_special=*/false),
            "<s>hello world</s>");
  EXPECT_EQ(tokenizer->Decode({}, /*skip_special=*/true), "");
  // Only one space is taken away, and only at the start.
  EXPECT_EQ(tokenizer->Decode({3 + ' ', hello}, true), " hello");
  EXPECT_EQ(tokenizer->TokenText(hello, true), " hello");
}

TEST(TokenizerTest, EndOfGenerationIsEosAndEot) {
  TestVocabulary vocabulary = TestVocabulary::WithSpecials();
  vocabulary.Add("<eot>", TokenKind::kControl);
  vocabulary.Add("a");
  GgufWriter writer = vocabulary.Writer();
  writer.SetUint32("tokenizer.ggml.eot_token_id", 3);
  const auto tokenizer = MakeTokenizer(writer);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  const std::vector<bool> expected = {false, false, true, true, false};
  for (TokenId id = 0; id < 5; ++id) {
    EXPECT_EQ((*tokenizer)->IsEndOfGeneration(id), expected[id]) << id;
  }
}

TEST(TokenizerTest, EndOfGenerationIsAlsoTheEndOfAReply) {
  TestVocabulary vocabulary = TestVocabulary::WithSpecials();
  vocabulary.Add("<end_of_turn>", TokenKind::kControl);
  vocabulary.Add("<|eot_id|>", TokenKind::kUserDefined);
  vocabulary.Add("<|im_end|>");  // a text like any other
  const auto tokenizer = MakeTokenizer(vocabulary);
  const std::vector<bool> expected = {false, false, true, true, true, false};
  for (TokenId id = 0; id < 6; ++id) {
    EXPECT_EQ(tokenizer->IsEndOfGeneration(id), expected[id]) << id;
  }
}

TEST(TokenizerTest, TheDemoPairHasOneVocabulary) {
  std::vector<std::unique_ptr<Tokenizer>> tokenizers;
  for (const std::string name : {"tales-draft-q8_0", "tales-target-q8_0"}) {
    const auto file = GgufFile::Open(kModels + name + ".gguf");
    ASSERT_TRUE(file.ok()) << file.status();
    auto tokenizer = Tokenizer::FromGguf(**file);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    EXPECT_EQ((*tokenizer)->vocabulary_fingerprint().size(), 64u);
    // What a worker hands to a coordinator makes the same tokenizer.
    const auto image = GgufFile::FromBytes(TokenizerImage(**file), "image");
    ASSERT_TRUE(image.ok()) << image.status();
    const auto copy = Tokenizer::FromGguf(**image);
    ASSERT_TRUE(copy.ok()) << copy.status();
    EXPECT_EQ((*copy)->vocabulary_fingerprint(),
              (*tokenizer)->vocabulary_fingerprint());
    tokenizers.push_back(std::move(*tokenizer));
  }
  EXPECT_TRUE(CheckSameVocabulary(*tokenizers[0], *tokenizers[1]).ok());
}

void ExpectMismatch(const Tokenizer& draft, const Tokenizer& target,
                    absl::string_view what) {
  EXPECT_NE(draft.vocabulary_fingerprint(), target.vocabulary_fingerprint());
  const absl::Status status = CheckSameVocabulary(draft, target);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(GetErrorDetail(status).has_value());
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonVocabularyMismatch);
  EXPECT_TRUE(absl::StrContains(status.message(), what)) << status;
}

TEST(TokenizerTest, NamesTheFirstTokenThatDiffers) {
  TestVocabulary base = TestVocabulary::WithSpecials();
  base.Add("a");
  base.Add("b");
  const auto target = MakeTokenizer(base);
  EXPECT_TRUE(CheckSameVocabulary(*MakeTokenizer(base), *target).ok());

  TestVocabulary piece = base;
  piece.pieces[3] = "c";
  piece.pieces[4] = "d";
  ExpectMismatch(*MakeTokenizer(piece), *target,
                 "the first token that differs is 3: 'c' (normal) in the "
                 "draft, 'a' (normal) in the target");
  TestVocabulary kind = base;
  kind.types[4] = static_cast<int32_t>(TokenKind::kUserDefined);
  ExpectMismatch(*MakeTokenizer(kind), *target,
                 "4: 'b' (user-defined) in the draft, 'b' (normal)");
  TestVocabulary longer = base;
  longer.Add("e");
  ExpectMismatch(*MakeTokenizer(longer), *target,
                 "5: 'e' (normal) in the draft, missing in the target (6 and 5 "
                 "tokens)");
  ExpectMismatch(*target, *MakeTokenizer(longer),
                 "5: missing in the draft, 'e' (normal) in the target");
}

TEST(TokenizerTest, NamesTheSpecialTokenThatDiffers) {
  TestVocabulary base = TestVocabulary::WithSpecials();
  base.Add("a");
  const auto target = MakeTokenizer(base);
  const auto with_id = [&base](const std::string& name) {
    GgufWriter writer = base.Writer();
    writer.SetUint32("tokenizer.ggml." + name + "_token_id", 3);
    return std::move(MakeTokenizer(writer).value());
  };
  ExpectMismatch(*with_id("bos"), *target, "the BOS token is 3 in the draft");
  ExpectMismatch(*with_id("eos"), *target, "the EOS token is 3 in the draft");
  ExpectMismatch(*with_id("eot"), *target,
                 "the EOT token is 3 in the draft and none in the target");
  ExpectMismatch(*with_id("unknown"), *target, "the unknown token is 3");
  ExpectMismatch(*target, *with_id("padding"),
                 "the padding token is none in the draft and 3 in the target");
}

TEST(TokenizerDeathTest, StopsOnIdsOutOfRange) {
  const auto tokenizer = MakeTokenizer(TestVocabulary::WithSpecials());
  EXPECT_DEATH(tokenizer->TokenText(-1, false), "");
  EXPECT_DEATH(tokenizer->piece(3), "");
  EXPECT_DEATH(tokenizer->kind(INT32_MAX), "");
}

}  // namespace
}  // namespace tandem
