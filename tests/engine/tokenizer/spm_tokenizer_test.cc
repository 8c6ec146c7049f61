#include "engine/tokenizer/spm_tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/gguf/gguf_file.h"
#include "tests/engine/tokenizer/known_texts.h"
#include "tests/engine/tokenizer/test_vocabulary.h"

namespace tandem {
namespace {

constexpr char kTargetModel[] =
    TANDEM_SOURCE_DIR "/deploy/models/tales-target-q8_0.gguf";
constexpr char kGolden[] = TANDEM_SOURCE_DIR "/tests/data/golden.json";

TEST(SpmTokenizerTest, EncodesTheLlamaVocabularyAsTheOriginalDoes) {
  const KnownEncodings known = ReadKnownEncodings("llama-spm");
  if (known.tokenizer == nullptr) {
    GTEST_SKIP() << KnownEncodingsFolder() << " is not there";
  }
  for (size_t i = 0; i < known.texts.size(); ++i) {
    const std::vector<TokenId> ids =
        known.tokenizer->Encode(known.texts[i], /*add_bos=*/false);
    EXPECT_EQ(ids, known.ids[i]) << "text " << i << ": " << known.texts[i];
    EXPECT_EQ(known.tokenizer->Decode(ids, /*skip_special=*/true),
              known.texts[i]);
  }
}

TEST(SpmTokenizerTest, EncodesTheGoldenPrompts) {
  const auto tokenizer = TokenizerOfFile(kTargetModel);
  ASSERT_NE(tokenizer, nullptr);
  const nlohmann::json golden = nlohmann::json::parse(ReadWholeFile(kGolden));
  int prompts = 0;
  for (const nlohmann::json& entry : golden["cases"]) {
    const std::string prompt = entry["prompt"];
    EXPECT_EQ(tokenizer->Encode(prompt, /*add_bos=*/true),
              entry["token_ids"].get<std::vector<TokenId>>())
        << prompt;
    ++prompts;
  }
  EXPECT_GT(prompts, 0);
}

constexpr char kSpace[] = "\u2581";

// One merge at a time over plain strings: what MergeRun must give.
std::vector<std::string> MergePlainly(const TestVocabulary& vocabulary,
                                      const std::string& ascii) {
  std::vector<std::string> parts;
  for (const char c : ascii) parts.emplace_back(1, c);
  while (true) {
    size_t best = parts.size();
    float best_score = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      for (size_t id = 0; id < vocabulary.pieces.size(); ++id) {
        if (vocabulary.pieces[id] != parts[i] + parts[i + 1]) continue;
        if (best < parts.size() && vocabulary.scores[id] <= best_score) break;
        best = i;
        best_score = vocabulary.scores[id];
        break;
      }
    }
    if (best == parts.size()) return parts;
    parts[best] += parts[best + 1];
    parts.erase(parts.begin() + static_cast<int64_t>(best) + 1);
  }
}

TEST(SpmTokenizerTest, MergesAsThePlainAlgorithmDoes) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 200; ++round) {
    TestVocabulary vocabulary = TestVocabulary::WithSpecials();
    for (const char* letter : {"a", "b", "c"}) vocabulary.Add(letter);
    for (int i = 0; i < 20; ++i) {
      std::string piece;
      for (uint64_t n = 2 + random() % 4; n > 0; --n) {
        piece += static_cast<char>('a' + random() % 3);
      }
      if (std::find(vocabulary.pieces.begin(), vocabulary.pieces.end(),
                    piece) != vocabulary.pieces.end()) {
        continue;
      }
      // Few distinct scores, so that ties are common.
      vocabulary.Add(piece, TokenKind::kNormal,
                     static_cast<float>(random() % 3));
    }
    GgufWriter writer = vocabulary.Writer();
    writer.SetBool("tokenizer.ggml.add_space_prefix", false);
    const auto tokenizer = MakeTokenizer(writer);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    for (int i = 0; i < 20; ++i) {
      std::string text;
      for (uint64_t n = random() % 40; n > 0; --n) {
        text += static_cast<char>('a' + random() % 3);
      }
      std::vector<std::string> pieces;
      for (const TokenId id : (*tokenizer)->Encode(text, /*add_bos=*/false)) {
        pieces.emplace_back((*tokenizer)->piece(id));
      }
      ASSERT_EQ(pieces, MergePlainly(vocabulary, text)) << text;
    }
  }
}

TEST(SpmTokenizerTest, PutsOneSpaceBeforeTheText) {
  TestVocabulary vocabulary = TestVocabulary::WithBytes();
  const TokenId space = vocabulary.Add(kSpace);
  const TokenId a = vocabulary.Add("a");
  const auto tokenizer = MakeTokenizer(vocabulary);
  using Ids = std::vector<TokenId>;
  EXPECT_EQ(tokenizer->Encode("", false), Ids{});
  EXPECT_EQ(tokenizer->Encode("", true), Ids{1});
  EXPECT_EQ(tokenizer->Encode("a", true), (Ids{1, space, a}));
  EXPECT_EQ(tokenizer->Encode(" a", false), (Ids{space, space, a}));
  EXPECT_EQ(tokenizer->Encode(" ", false), (Ids{space, space}));
  GgufWriter writer = vocabulary.Writer();
  writer.SetBool("tokenizer.ggml.add_space_prefix", false);
  writer.SetBool("tokenizer.ggml.add_bos_token", false);
  const auto plain = MakeTokenizer(writer);
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_FALSE((*plain)->adds_bos());
  EXPECT_EQ((*plain)->Encode("a", false), Ids{a});
  EXPECT_EQ((*plain)->Decode({space, a}, true), " a");
}

TEST(SpmTokenizerTest, FallsBackToBytesThenToUnknown) {
  TestVocabulary bytes = TestVocabulary::WithBytes();
  bytes.Add("a");
  const auto tokenizer = MakeTokenizer(bytes);
  using Ids = std::vector<TokenId>;
  // The space has no piece here, so it is its own byte and not U+2581's.
  EXPECT_EQ(tokenizer->Encode("\u00e9", false),
            (Ids{3 + ' ', 3 + 0xC3, 3 + 0xA9}));
  EXPECT_EQ(tokenizer->Encode("\xff\xe2\x96", false),
            (Ids{3 + ' ', 3 + 0xFF, 3 + 0xE2, 3 + 0x96}));
  EXPECT_EQ(tokenizer->Encode(kSpace, false),
            (Ids{3 + ' ', 3 + 0xE2, 3 + 0x96, 3 + 0x81}));

  TestVocabulary without = TestVocabulary::WithSpecials();
  const TokenId space = without.Add(kSpace);
  const TokenId a = without.Add("a");
  EXPECT_EQ(MakeTokenizer(without)->Encode("a\u00e9\xff", false),
            (Ids{space, a, 0, 0}));
  EXPECT_EQ(MakeTokenizer(without)->Encode(kSpace, false), (Ids{space, space}));

  // A byte token that is missing: the whole character is unknown.
  TestVocabulary partial = TestVocabulary::WithSpecials();
  partial.Add(kSpace);
  partial.Add("<0xC3>", TokenKind::kByte);
  EXPECT_EQ(MakeTokenizer(partial)->Encode("\u00e9", false), (Ids{3, 0}));
}

TEST(SpmTokenizerTest, TextOfSpecialTokensIsPlainText) {
  TestVocabulary vocabulary = TestVocabulary::WithBytes();
  vocabulary.Add("<eot>", TokenKind::kUserDefined);
  vocabulary.Add("<pad>");
  // With these, merging would arrive at "<s>", "<0x41>" and "<pad>".
  for (const char* piece :
       {"<",    ">", "s", "<s", "s>", "p",  "a",   "d",    "<p",    "<pa",
        "<pad", "0", "x", "4",  "1",  "<0", "<0x", "<0x4", "<0x41", "_"}) {
    vocabulary.Add(piece);
  }
  vocabulary.Add("<unused>", TokenKind::kUnused);
  GgufWriter writer = vocabulary.Writer();
  writer.SetUint32("tokenizer.ggml.eot_token_id", 259);
  writer.SetUint32("tokenizer.ggml.padding_token_id", 260);
  const auto tokenizer = MakeTokenizer(writer);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  for (const std::string text :
       {"<s>", "</s>", "<unk>", "<0x41>", "<eot>", "<pad>", "<unused>"}) {
    const auto ids = (*tokenizer)->Encode(text, /*add_bos=*/false);
    EXPECT_GT(ids.size(), 2u) << text;
    for (const TokenId id : ids) {
      EXPECT_FALSE((*tokenizer)->TokenText(id, true).empty()) << text;
      EXPECT_NE((*tokenizer)->piece(id), text);
    }
    EXPECT_EQ((*tokenizer)->Decode(ids, true), text);
  }
}

TEST(SpmTokenizerTest, FindsUserDefinedTokensFirst) {
  TestVocabulary vocabulary = TestVocabulary::WithBytes();
  const TokenId space = vocabulary.Add(kSpace);
  const TokenId a = vocabulary.Add("a");
  const TokenId aa = vocabulary.Add("aa", TokenKind::kNormal, 5);
  const TokenId xa = vocabulary.Add("<x>a", TokenKind::kUserDefined);
  const TokenId x = vocabulary.Add("<x>", TokenKind::kUserDefined);
  const TokenId y =
      vocabulary.Add(absl::StrCat("y", kSpace, "y"), TokenKind::kUserDefined);
  const TokenId lines = vocabulary.Add("\n\n", TokenKind::kUserDefined);
  const auto tokenizer = MakeTokenizer(vocabulary);
  using Ids = std::vector<TokenId>;
  EXPECT_EQ(tokenizer->Encode("aa<x>aaa", false), (Ids{space, aa, xa, aa}));
  EXPECT_EQ(tokenizer->Encode("<x><x", false),
            (Ids{space, x, 3 + '<', 3 + 'x'}));
  EXPECT_EQ(tokenizer->Encode("y y", false), (Ids{space, y}));
  EXPECT_EQ(tokenizer->Encode("a\n\n\na", false),
            (Ids{space, a, lines, 3 + '\n', a}));
  for (const std::string text : {"aa<x>aaa", "y y", "<x>", "\n\n\n", " <x>"}) {
    EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(text, true), true), text);
  }
}

TEST(SpmTokenizerTest, DecodesWhatItEncoded) {
  const std::string words =
      ReadWholeFile(TANDEM_SOURCE_DIR "/tests/data/heldout.txt");
  ASSERT_GT(words.size(), 1000u);
  const auto tokenizer = TokenizerOfFile(kTargetModel);
  ASSERT_NE(tokenizer, nullptr);
  TestVocabulary other = TestVocabulary::WithBytes();
  for (const char* piece : {kSpace, "e", "t", "h", "th", "the", "he"}) {
    other.Add(piece);
  }
  other.Add("  ", TokenKind::kUserDefined);
  other.Add(absl::StrCat("e", kSpace), TokenKind::kUserDefined);
  const auto small = MakeTokenizer(other);
  std::mt19937_64 random(11);
  for (int round = 0; round < 20000; ++round) {
    // Two pieces of the held-out text may be cut inside a character: the
    // bytes come back all the same.
    const std::string text = RandomText(&random, words);
    const bool add_bos = round % 2 == 0;
    ASSERT_EQ(tokenizer->Decode(tokenizer->Encode(text, add_bos), true), text);
    ASSERT_EQ(small->Decode(small->Encode(text, add_bos), true), text);
  }
  EXPECT_EQ(tokenizer->Decode(tokenizer->Encode(words, true), true), words);
}

// A quadratic merge would take hours here.
TEST(SpmTokenizerTest, EncodesTenMegabytesOfOneLetter) {
  const auto tokenizer = TokenizerOfFile(kTargetModel);
  ASSERT_NE(tokenizer, nullptr);
  const std::string text(10 << 20, 'a');
  const std::vector<TokenId> ids = tokenizer->Encode(text, /*add_bos=*/true);
  EXPECT_LE(ids.size(), text.size() + 2);
  EXPECT_EQ(tokenizer->Decode(ids, /*skip_special=*/true), text);
}

TEST(SpmTokenizerTest, TakesTheIdsOfSentencePieceWhereTheFileNamesNone) {
  const auto standard = MakeTokenizer(TestVocabulary::WithSpecials());
  EXPECT_EQ(standard->special().unknown, 0);
  EXPECT_EQ(standard->special().bos, 1);
  EXPECT_EQ(standard->special().eos, 2);
  EXPECT_FALSE(standard->special().eot.has_value());
  EXPECT_FALSE(standard->special().padding.has_value());
  EXPECT_TRUE(standard->adds_bos());
  TestVocabulary other = TestVocabulary::WithBytes();
  other.types[0] = other.types[1] = other.types[2] =
      static_cast<int32_t>(TokenKind::kNormal);
  const auto none = MakeTokenizer(other);
  EXPECT_FALSE(none->special().unknown.has_value());
  EXPECT_FALSE(none->special().bos.has_value());
  EXPECT_FALSE(none->special().eos.has_value());
  EXPECT_EQ(none->Encode("", /*add_bos=*/true), std::vector<TokenId>{});
}

void ExpectMalformed(const GgufWriter& writer, absl::string_view key,
                     absl::string_view what) {
  const absl::Status status = MakeTokenizer(writer).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  ASSERT_TRUE(GetErrorDetail(status).has_value());
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonMalformedFile);
  EXPECT_TRUE(absl::StrContains(
      status.message(), absl::StrCat("key 'tokenizer.ggml.", key, "': ", what)))
      << status;
}

TEST(SpmTokenizerTest, RefusesBadScores) {
  const auto writer_with = [](const std::vector<float>& scores) {
    TestVocabulary vocabulary = TestVocabulary::WithSpecials();
    vocabulary.scores = scores;
    return vocabulary.Writer();
  };
  ExpectMalformed(writer_with({1, 2}), "scores", "has 2 elements for 3 tokens");
  ExpectMalformed(writer_with({1, 2, 3, 4}), "scores", "has 4 elements");
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    ExpectMalformed(writer_with({1, bad, 3}), "scores",
                    "the score of token 1 is not finite");
  }
  GgufWriter absent;
  absent.SetString("tokenizer.ggml.model", "llama");
  absent.SetStringArray("tokenizer.ggml.tokens", {"a"});
  GgufWriter integers = absent;
  ExpectMalformed(absent, "scores", "is missing");
  integers.SetInt32Array("tokenizer.ggml.scores", {1});
  ExpectMalformed(integers, "scores", "must be an array of floats");
}

TEST(SpmTokenizerTest, RefusesBadByteTokens) {
  for (const std::string piece : {"<0x-1>", "<0xGG>", "<0x1>", "<0x100>",
                                  "0x41", "", "<0X41>", "<0x41 "}) {
    TestVocabulary vocabulary = TestVocabulary::WithSpecials();
    vocabulary.Add(piece, TokenKind::kByte);
    ExpectMalformed(vocabulary.Writer(), "tokens",
                    absl::StrCat("token 3 is of type byte, but '", piece,
                                 "' is not '<0xHH>'"));
  }
  TestVocabulary twice = TestVocabulary::WithSpecials();
  twice.Add("<0x4a>", TokenKind::kByte);
  twice.Add("<0x4A>", TokenKind::kByte);
  ExpectMalformed(twice.Writer(), "tokens", "tokens 3 and 4 are both '<0x4A>'");
  TestVocabulary missing = TestVocabulary::WithBytes();
  missing.types[0] = static_cast<int32_t>(TokenKind::kNormal);
  missing.types[3 + 0x0A] = static_cast<int32_t>(TokenKind::kNormal);
  ExpectMalformed(missing.Writer(), "tokens",
                  "there is no token for the byte 0a");
}

TEST(SpmTokenizerTest, RefusesDuplicatesThatAreAmbiguous) {
  for (const TokenKind kind : {TokenKind::kNormal, TokenKind::kUserDefined}) {
    TestVocabulary vocabulary = TestVocabulary::WithSpecials();
    for (const char* piece : {"a", "b", "a"}) vocabulary.Add(piece, kind);
    ExpectMalformed(vocabulary.Writer(), "tokens",
                    "tokens 3 and 5 are both 'a'");
  }
  // Never looked up by text, so any number may be spelt alike.
  for (const TokenKind kind : {TokenKind::kControl, TokenKind::kUnused}) {
    TestVocabulary vocabulary = TestVocabulary::WithSpecials();
    for (const char* piece : {"a", "b", "a"}) vocabulary.Add(piece, kind);
    EXPECT_TRUE(MakeTokenizer(vocabulary.Writer()).ok());
  }
}

TEST(SpmTokenizerTest, RefusesFlagsOfAnotherType) {
  for (const std::string key : {"add_bos_token", "add_space_prefix"}) {
    GgufWriter writer = TestVocabulary::WithSpecials().Writer();
    writer.SetUint32("tokenizer.ggml." + key, 1);
    ExpectMalformed(writer, key, "has type uint32, must be a bool");
  }
}

}  // namespace
}  // namespace tandem
