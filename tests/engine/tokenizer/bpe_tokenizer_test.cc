#include "engine/tokenizer/bpe_tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "tests/engine/tokenizer/bpe_vocabulary.h"
#include "tests/engine/tokenizer/known_texts.h"
#include "tests/engine/tokenizer/test_vocabulary.h"

namespace tandem {
namespace {

using Ids = std::vector<TokenId>;

std::unique_ptr<Tokenizer> Make(const GgufWriter& writer) {
  auto tokenizer = MakeTokenizer(writer);
  EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
  return tokenizer.ok() ? std::move(*tokenizer) : nullptr;
}

class KnownVocabularyTest : public testing::TestWithParam<const char*> {};

TEST_P(KnownVocabularyTest, EncodesAsTheOriginalDoes) {
  const KnownEncodings known = ReadKnownEncodings(GetParam());
  if (known.tokenizer == nullptr) {
    GTEST_SKIP() << KnownEncodingsFolder() << " is not there";
  }
  for (size_t i = 0; i < known.texts.size(); ++i) {
    const Ids ids = known.tokenizer->Encode(known.texts[i], /*add_bos=*/false);
    EXPECT_EQ(ids, known.ids[i]) << "text " << i << ": " << known.texts[i];
    EXPECT_EQ(known.tokenizer->Decode(ids, /*skip_special=*/true),
              known.texts[i]);
  }
}

TEST_P(KnownVocabularyTest, DecodesWhatItEncoded) {
  const KnownEncodings known = ReadKnownEncodings(GetParam());
  if (known.tokenizer == nullptr) {
    GTEST_SKIP() << KnownEncodingsFolder() << " is not there";
  }
  const std::string words =
      ReadWholeFile(TANDEM_SOURCE_DIR "/tests/data/heldout.txt");
  std::mt19937_64 random(21);
  for (int round = 0; round < 5000; ++round) {
    // Any code point at all, and text of all kinds (without the cut pieces: a
    // vocabulary may lack the bytes that UTF-8 does not use).
    std::string text = RandomText(&random, std::string(64, 'w'));
    for (uint64_t n = random() % 8; n > 0; --n) {
      const auto point = static_cast<uint32_t>(random() % 0x110000);
      if (point < 0xD800 || point > 0xDFFF) AppendUtf8(point, &text);
    }
    ASSERT_EQ(
        known.tokenizer->Decode(known.tokenizer->Encode(text, true), true),
        text);
  }
  EXPECT_EQ(known.tokenizer->Decode(known.tokenizer->Encode(words, true), true),
            words);
}

INSTANTIATE_TEST_SUITE_P(All, KnownVocabularyTest,
                         testing::Values("gpt-2", "deepseek-coder"));

TEST(BpeTokenizerTest, MergesWithinWords) {
  BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
  const TokenId ab = vocabulary.Merge("a", "b");
  const TokenId space_a = vocabulary.Merge(" ", "a");
  const TokenId abab = vocabulary.Merge("ab", "ab");
  vocabulary.Merge("b", " ");  // never inside a word
  const auto tokenizer = Make(vocabulary.Writer());
  EXPECT_EQ(tokenizer->Encode("", true), Ids{});
  EXPECT_EQ(tokenizer->Encode("abab", false), Ids{abab});
  EXPECT_EQ(tokenizer->Encode("ab ab", false), (Ids{ab, ' ', ab}));
  EXPECT_EQ(tokenizer->Encode("b a", false), (Ids{'b', space_a}));
  EXPECT_EQ(tokenizer->Encode("\xff\n", false), (Ids{0xFF, '\n'}));
  EXPECT_FALSE(tokenizer->adds_bos());
}

TEST(BpeTokenizerTest, LooksWholeWordsUpWhereMergesAreIgnored) {
  BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
  const TokenId whole = vocabulary.Add("word");  // no merge leads there
  GgufWriter writer = vocabulary.Writer();
  EXPECT_EQ(Make(writer)->Encode("word", false), (Ids{'w', 'o', 'r', 'd'}));
  vocabulary.pre = "llama-bpe";
  const auto tokenizer = Make(vocabulary.Writer());
  EXPECT_EQ(tokenizer->Encode("word", false), Ids{whole});
  EXPECT_EQ(tokenizer->Encode("words", false), (Ids{'w', 'o', 'r', 'd', 's'}));
  EXPECT_TRUE(tokenizer->adds_bos());
}

TEST(BpeTokenizerTest, ReadsTheFlags) {
  BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
  vocabulary.pre = "llama-bpe";
  const TokenId bos = vocabulary.Add("<bos>", TokenKind::kControl);
  GgufWriter writer = vocabulary.Writer();
  writer.SetUint32("tokenizer.ggml.bos_token_id", bos);
  writer.SetBool("tokenizer.ggml.add_bos_token", false);
  writer.SetBool("tokenizer.ggml.add_space_prefix", true);
  const auto tokenizer = Make(writer);
  EXPECT_FALSE(tokenizer->adds_bos());
  EXPECT_EQ(tokenizer->Encode("a", true), (Ids{bos, ' ', 'a'}));
  EXPECT_EQ(tokenizer->Encode("", true), Ids{bos});
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(" a", true), true), " a");
}

TEST(BpeTokenizerTest, TextOfSpecialTokensIsPlainTextUnlessAskedFor) {
  BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
  const TokenId end = vocabulary.Add("<|im_end|>", TokenKind::kControl);
  // Said to be user-defined, but a chat template's marker.
  const TokenId start = vocabulary.Add("<|im_start|>", TokenKind::kUserDefined);
  const TokenId eos = vocabulary.Add("eos");  // a special one by its id
  const TokenId tool = vocabulary.Add("<tool>", TokenKind::kUserDefined);
  vocabulary.Add("unused", TokenKind::kUnused);
  GgufWriter writer = vocabulary.Writer();
  writer.SetUint32("tokenizer.ggml.eos_token_id", eos);
  const auto tokenizer = Make(writer);
  for (const std::string text :
       {"<|im_end|>", "<|im_start|>", "eos", "unused"}) {
    const Ids ids = tokenizer->Encode(text, /*add_bos=*/false);
    EXPECT_EQ(ids.size(), text.size());
    EXPECT_EQ(tokenizer->Decode(ids, true), text);
  }
  const EncodeOptions parsed = {.parse_special = true};
  EXPECT_EQ(tokenizer->Encode("a<|im_end|><|im_start|>eos<|im", parsed),
            (Ids{'a', end, start, eos, '<', '|', 'i', 'm'}));
  EXPECT_EQ(tokenizer->Encode("unused", parsed).size(), 6u);
  // Neither special nor plain: found in every text.
  EXPECT_EQ(tokenizer->Encode("a<tool>b", false), (Ids{'a', tool, 'b'}));
  EXPECT_TRUE(tokenizer->IsEndOfGeneration(eos));
  EXPECT_TRUE(tokenizer->IsEndOfGeneration(end));
  EXPECT_FALSE(tokenizer->IsEndOfGeneration(start));
}

TEST(BpeTokenizerTest, SpellsUserDefinedAndSpecialTokensAsTheyAre) {
  BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
  const TokenId letter =
      vocabulary.Add("\u00fc\u0120", TokenKind::kUserDefined);
  const TokenId literal = vocabulary.Add("\u4e2d");  // normal, no spelling
  const TokenId spaces = vocabulary.Add("   ", TokenKind::kUserDefined);
  const auto tokenizer = Make(vocabulary.Writer());
  EXPECT_EQ(tokenizer->Encode("x\u00fc\u0120", false), (Ids{'x', letter}));
  EXPECT_EQ(tokenizer->Encode("x    y", false), (Ids{'x', spaces, ' ', 'y'}));
  EXPECT_EQ(tokenizer->TokenText(literal, false), "\u4e2d");
  EXPECT_EQ(tokenizer->Encode("\u4e2d", false), (Ids{0xE4, 0xB8, 0xAD}));
  EXPECT_EQ(tokenizer->kind(literal), TokenKind::kNormal);
  EXPECT_EQ(tokenizer->piece(' '), "\u0120");
}

TEST(BpeTokenizerTest, ReplacesCharactersThatCanNotBeSpelt) {
  BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
  // As in some vocabularies: no tokens for bytes that UTF-8 does not have.
  for (const int byte : {0xC0, 0xC1, 0xF5, 0xFF}) {
    vocabulary.types[byte] = static_cast<int32_t>(TokenKind::kUnused);
  }
  const auto tokenizer = Make(vocabulary.Writer());
  EXPECT_EQ(tokenizer->Encode("a\xff\xc3", false),
            (Ids{'a', 0xEF, 0xBF, 0xBD, 0xC3}));
  // One that UTF-8 has, with an unknown token.
  vocabulary.types[0xC3] = static_cast<int32_t>(TokenKind::kUnused);
  const TokenId unknown = vocabulary.Add("<unk>", TokenKind::kUnknown);
  GgufWriter writer = vocabulary.Writer();
  writer.SetUint32("tokenizer.ggml.unknown_token_id", unknown);
  EXPECT_EQ(Make(writer)->Encode("a\u00e9b", false), (Ids{'a', unknown, 'b'}));
  // One that means something else: no text gives it.
  const TokenId eos = vocabulary.Add("<|endoftext|>", TokenKind::kControl);
  GgufWriter eos_writer = vocabulary.Writer();
  eos_writer.SetUint32("tokenizer.ggml.unknown_token_id", eos);
  EXPECT_EQ(Make(eos_writer)->Encode("\u00e9", false), (Ids{0xEF, 0xBF, 0xBD}));
}

TEST(BpeTokenizerTest, EncodesTenMegabytesOfOneLetter) {
  BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
  std::string run = "a";
  for (int i = 0; i < 5; ++i) {
    vocabulary.Merge(run, run);
    run += run;
  }
  const auto tokenizer = Make(vocabulary.Writer());
  const std::string text(10 << 20, 'a');
  const Ids ids = tokenizer->Encode(text, /*add_bos=*/true);
  EXPECT_EQ(ids.size(), text.size() / 32);
  EXPECT_EQ(tokenizer->Decode(ids, /*skip_special=*/true), text);
}

// A word longer than the bound is merged in parts; nothing is lost.
TEST(BpeTokenizerTest, CutsWordsAtTheBound) {
  BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
  const TokenId aa = vocabulary.Merge("a", "a");
  const auto tokenizer = Make(vocabulary.Writer());
  std::string text(2 * kBpeWordBytesMax + 1, 'a');
  text[0] = 'b';
  const Ids ids = tokenizer->Encode(text, false);
  // "b", a part of odd length, whole parts of pairs.
  EXPECT_EQ(tokenizer->Decode(ids, true), text);
  EXPECT_EQ(
      std::count(ids.begin(), ids.end(), aa),
      static_cast<int64_t>((kBpeWordBytesMax - 1) / 2 + kBpeWordBytesMax / 2));
}

void ExpectMalformed(const GgufWriter& writer, absl::string_view key,
                     absl::string_view what) {
  const absl::Status status = MakeTokenizer(writer).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  ASSERT_TRUE(GetErrorDetail(status).has_value());
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonMalformedFile);
  // What is not there has no place.
  EXPECT_EQ(absl::StrContains(status.message(), "offset "),
            what != "is missing")
      << status;
  EXPECT_TRUE(absl::StrContains(
      status.message(), absl::StrCat("key 'tokenizer.ggml.", key, "': ", what)))
      << status;
}

TEST(BpeTokenizerTest, RefusesBadMerges) {
  const BpeVocabulary base = BpeVocabulary::WithBytes();
  const auto with = [&base](std::vector<std::string> merges) {
    BpeVocabulary vocabulary = base;
    vocabulary.Add("ab");
    vocabulary.Add("<|x|>", TokenKind::kControl);
    vocabulary.merges = std::move(merges);
    return vocabulary.Writer();
  };
  EXPECT_TRUE(MakeTokenizer(with({"a b"})).ok());
  for (const std::string bad : {"ab", "", " ", "a ", " b"}) {
    ExpectMalformed(with({"a b", bad}), "merges",
                    absl::StrCat("merge 1, '", bad, "', is not two pieces"));
  }
  ExpectMalformed(with({"a xy"}), "merges",
                  "merge 0 names the piece 'xy', which is no token");
  ExpectMalformed(with({"xy a"}), "merges", "merge 0 names the piece 'xy'");
  ExpectMalformed(with({"b a"}), "merges", "merge 0 names the piece 'ba'");
  ExpectMalformed(with({"a b c"}), "merges", "merge 0 names the piece 'b c'");
  ExpectMalformed(with({"<|x|> a"}), "merges",
                  "merge 0 names the piece '<|x|>'");
  ExpectMalformed(with({"a b", "a b"}), "merges",
                  "merges 0 and 1 are both 'a b'");
  GgufWriter absent;
  absent.SetString("tokenizer.ggml.model", "gpt2");
  absent.SetStringArray("tokenizer.ggml.tokens", base.pieces);
  GgufWriter integers = absent;
  ExpectMalformed(absent, "merges", "is missing");
  integers.SetInt32Array("tokenizer.ggml.merges", {1});
  ExpectMalformed(integers, "merges", "must be an array of strings");
}

TEST(BpeTokenizerTest, RefusesBadTokens) {
  BpeVocabulary twice = BpeVocabulary::WithBytes();
  twice.Add("a");
  ExpectMalformed(twice.Writer(), "tokens", "tokens 97 and 256 are both 'a'");
  BpeVocabulary defined = BpeVocabulary::WithBytes();
  defined.Add("<x>", TokenKind::kUserDefined);
  defined.Add("<x>", TokenKind::kUserDefined);
  ExpectMalformed(defined.Writer(), "tokens",
                  "tokens 256 and 257 are both '<x>'");
  BpeVocabulary missing = BpeVocabulary::WithBytes();
  missing.types[0x0A] = static_cast<int32_t>(TokenKind::kControl);
  ExpectMalformed(missing.Writer(), "tokens",
                  "there is no token for the byte 0a");
  BpeVocabulary unlike = BpeVocabulary::WithBytes();
  unlike.types.pop_back();
  ExpectMalformed(unlike.Writer(), "token_type",
                  "has 255 elements for 256 tokens");
  GgufWriter flag = BpeVocabulary::WithBytes().Writer();
  flag.SetUint32("tokenizer.ggml.add_bos_token", 1);
  ExpectMalformed(flag, "add_bos_token", "has type uint32, must be a bool");
  GgufWriter out_of_range = BpeVocabulary::WithBytes().Writer();
  out_of_range.SetUint32("tokenizer.ggml.eos_token_id", 256);
  ExpectMalformed(out_of_range, "eos_token_id",
                  "is 256, but there are 256 tokens");
}

TEST(BpeTokenizerTest, RefusesOtherPreTokenizersByName) {
  BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
  vocabulary.pre = "gpt-5";
  const absl::Status status = MakeTokenizer(vocabulary.Writer()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(GetErrorDetail(status).has_value());
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonUnsupportedModel);
  EXPECT_TRUE(absl::StrContains(status.message(),
                                "pre-tokeniser 'gpt-5' is not supported"))
      << status;
  EXPECT_TRUE(absl::StrContains(status.message(), "llama-bpe")) << status;
  GgufWriter number;
  number.SetString("tokenizer.ggml.model", "gpt2");
  number.SetUint32("tokenizer.ggml.pre", 1);
  ExpectMalformed(number, "pre", "has type uint32, must be a string");
}

TEST(BpeTokenizerTest, TakesTheDefaultWhereTheFileNamesNone) {
  const BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
  GgufWriter writer;
  writer.SetString("tokenizer.ggml.model", "gpt2");
  writer.SetStringArray("tokenizer.ggml.tokens", vocabulary.pieces);
  writer.SetStringArray("tokenizer.ggml.merges", {});
  EXPECT_EQ(Make(writer)->Encode("a", false), Ids{'a'});
}

}  // namespace
}  // namespace tandem
