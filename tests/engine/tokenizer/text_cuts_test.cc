#include "engine/tokenizer/text_cuts.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "engine/tokenizer/pre_tokenizer.h"
#include "engine/tokenizer/tokenizer.h"
#include "tests/engine/tokenizer/bpe_vocabulary.h"
#include "tests/engine/tokenizer/known_texts.h"
#include "tests/engine/tokenizer/test_vocabulary.h"

namespace tandem {
namespace {

constexpr char kProse[] =
    "Once upon a time, in 1850 or so, there was a king who'd three daughters; "
    "the youngest (so they say) was fair. \"Who are you?\" said the frog: "
    "nobody answered!  Then it rained.\n\nfor (int i = 0; i < 10; ++i) { x "
    "+= a[i] / 2; }\nNa\u00efve caf\u00e9s, \u65e5\u672c \u8a9e and "
    "e\u0301 e \u0301 \u05e9\u05dc\u05d5\u05dd \u05e2. 12 345 67 8 ";

// Text with all that a cut must not go wrong at.
std::string HardText(std::mt19937_64* random) {
  static const std::vector<std::string> parts = {
      " ",        "  ",      "a",      "the",     "of the",   "of th", "<a b>",
      "<a ",      "x END",   "END",    " END of", "s",        "'s",    "'S ",
      "12",       "123",     "4 ",     ".",       ", ",       "!?",    "\n",
      "\n\n ",    "\t",      "\u0301", "\u00e9",  "\u2581",   "</s>",  "<s>",
      "\xE2\x96", "\u00a0",  "\u65e5", " \u0301", "/",        "/\n",   "-",
      "$ +",      "\u05e9 ", "A",      "Ab",      "x\u2581y", "x y",   "\r\n"};
  std::string text;
  const std::string prose(kProse);
  for (size_t count = (*random)() % 30; count > 0; --count) {
    switch ((*random)() % 4) {
      case 0:
        text += RandomText(random, prose);
        break;
      case 1:
        text += prose.substr((*random)() % prose.size(), (*random)() % 20);
        break;
      default:
        text += parts[(*random)() % parts.size()];
    }
  }
  return text;
}

// For random texts and what of them has come first: returns the bytes that
// could be cut off, of all.
double CheckCuts(const Tokenizer& tokenizer, int texts, uint64_t seed) {
  std::mt19937_64 random(seed);
  size_t bytes = 0;
  size_t cut_bytes = 0;
  for (int i = 0; i < texts; ++i) {
    const std::string text = HardText(&random);
    const EncodeOptions options = {.add_bos = random() % 2 == 0,
                                   .parse_special = random() % 2 == 0};
    const std::vector<TokenId> whole = tokenizer.Encode(text, options);
    std::vector<TokenId> ids;
    size_t encoded = 0;
    // What has come grows; a cut is made by what is there.
    for (size_t come = 0; come < text.size();) {
      come = std::min<size_t>(text.size(), come + 1 + random() % 40);
      const std::string there = text.substr(0, come);
      const size_t cut =
          tokenizer.LastCut(there, encoded, encoded + 1 + random() % 100);
      EXPECT_GE(cut, encoded);
      EXPECT_LE(cut, come);
      if (cut == encoded) continue;
      EncodeOptions part = options;
      part.goes_on = encoded > 0;
      const std::vector<TokenId> more =
          tokenizer.Encode(there.substr(encoded, cut - encoded), part);
      ids.insert(ids.end(), more.begin(), more.end());
      encoded = cut;
    }
    cut_bytes += encoded;
    bytes += text.size();
    if (encoded > 0) {
      EncodeOptions rest = options;
      rest.goes_on = true;
      const std::vector<TokenId> more =
          tokenizer.Encode(text.substr(encoded), rest);
      ids.insert(ids.end(), more.begin(), more.end());
      EXPECT_EQ(ids, whole) << "seed " << seed << ", text " << i << ": "
                            << ::testing::PrintToString(text);
      if (ids != whole) break;
    }
  }
  return static_cast<double>(cut_bytes) / static_cast<double>(bytes);
}

// All but the last words can be computed before the text ends.
void ExpectProseIsCut(const Tokenizer& tokenizer) {
  const std::string text = "The king went into the deep forest, and slept";
  EXPECT_EQ(tokenizer.LastCut(text, 0, text.size()), text.rfind(' '));
  EXPECT_EQ(tokenizer.LastCut(text, 0, 10), text.find(" went"));
  const size_t from = text.find(" slept");
  EXPECT_EQ(tokenizer.LastCut(text, from, text.size()), from);
}

BpeVocabulary HardBpe(const std::string& pre) {
  BpeVocabulary vocabulary = BpeVocabulary::WithBytes();
  vocabulary.pre = pre;
  vocabulary.Merge("t", "h");
  vocabulary.Merge("th", "e");
  vocabulary.Merge(" ", "the");
  vocabulary.Merge(" ", " ");
  vocabulary.Merge("  ", " ");
  vocabulary.Merge(" ", "a");
  vocabulary.Merge("o", "f");
  vocabulary.Merge(".", "\n");
  vocabulary.Merge("1", "2");
  vocabulary.Merge("12", "3");
  // Never joined by words, if the cut into words is right.
  vocabulary.Merge("e", " ");
  vocabulary.Merge("s", " the");
  vocabulary.Add("of the", TokenKind::kUserDefined);
  vocabulary.Add("<a b>", TokenKind::kControl);
  vocabulary.Add("x END", TokenKind::kControl);
  return vocabulary;
}

TEST(TextCutsTest, HoldsForEveryPreTokenizer) {
  const std::vector<std::string> names =
      absl::StrSplit(PreTokenizer::Names(), ", ");
  ASSERT_GT(names.size(), 15u);
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    const auto tokenizer = MakeTokenizer(HardBpe(name).Writer());
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
    EXPECT_GT(CheckCuts(**tokenizer, 150, 1), 0.3);
    ExpectProseIsCut(**tokenizer);
  }
}

TEST(TextCutsTest, HoldsForByteLevelBpeWithASpaceBefore) {
  GgufWriter writer = HardBpe("llama-bpe").Writer();
  writer.SetBool("tokenizer.ggml.add_space_prefix", true);
  const auto tokenizer = MakeTokenizer(writer);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_GT(CheckCuts(**tokenizer, 300, 2), 0.3);
}

TestVocabulary HardSpm() {
  TestVocabulary vocabulary = TestVocabulary::WithBytes();
  const std::string space = "\u2581";
  float score = 0;
  for (const std::string& piece :
       {std::string("th"), std::string("the"), space + "the", space + space,
        space + "a", std::string("of"), space + "of", std::string("END"),
        std::string("a"), std::string("e"), std::string("t"), space,
        std::string("s"), std::string("o")}) {
    vocabulary.Add(piece, TokenKind::kNormal, score -= 1);
  }
  vocabulary.Add("<a b>", TokenKind::kControl);
  vocabulary.Add("x END", TokenKind::kControl);
  vocabulary.Add("of the", TokenKind::kUserDefined);
  return vocabulary;
}

TEST(TextCutsTest, HoldsForSentencePiece) {
  EXPECT_GT(CheckCuts(*MakeTokenizer(HardSpm()), 5000, 3), 0.3);
  ExpectProseIsCut(*MakeTokenizer(HardSpm()));
}

TEST(TextCutsTest, PiecesOverSpacesAreNotCut) {
  TestVocabulary vocabulary = HardSpm();
  // Joined last, and first.
  vocabulary.Add("e\u2581t", TokenKind::kNormal, -100);
  vocabulary.Add("s\u2581", TokenKind::kNormal, 100);
  const std::unique_ptr<Tokenizer> tokenizer = MakeTokenizer(vocabulary);
  EXPECT_GT(CheckCuts(*tokenizer, 2000, 4), 0.2);
  EXPECT_EQ(tokenizer->LastCut("the the", 0, 7), 0u);
  EXPECT_EQ(tokenizer->LastCut("x s the", 0, 7), 1u);
  // A vocabulary whose pieces reach over any space has none.
  for (int byte = 0; byte < 128; ++byte) {
    vocabulary.Add(
        absl::StrCat(std::string(1, static_cast<char>(byte)), "\u2581b"),
        TokenKind::kNormal, -200);
  }
  EXPECT_EQ(MakeTokenizer(vocabulary)->LastCut(kProse, 0, 60), 0u);
}

TEST(TextCutsTest, TokensThatMayStillComeAreNotCut) {
  const auto made = MakeTokenizer(HardBpe("gpt-2").Writer());
  ASSERT_TRUE(made.ok());
  const Tokenizer& tokenizer = **made;
  // The control token is plain text or not: it is spared in any case.
  for (const std::string text : {"so of ", "so of th", "so of the"}) {
    EXPECT_EQ(tokenizer.LastCut(text, 0, text.size()), 2u) << text;
  }
  EXPECT_EQ(tokenizer.LastCut("so of tho", 0, 9), 5u);
  EXPECT_EQ(tokenizer.LastCut("so <a b", 0, 7), 2u);
  EXPECT_EQ(tokenizer.LastCut("so <a c", 0, 7), 5u);
  // A text after a special token begins anew, so the token's end is no cut.
  EXPECT_EQ(tokenizer.LastCut("be x END of", 0, 11), 2u);
}

TEST(TextCutsTest, HoldsForRealVocabularies) {
  for (const char* name : {"gpt-2", "llama-spm", "deepseek-coder"}) {
    SCOPED_TRACE(name);
    const KnownEncodings known = ReadKnownEncodings(name);
    if (known.tokenizer == nullptr) GTEST_SKIP() << "no vocabularies";
    EXPECT_GT(CheckCuts(*known.tokenizer, 500, 5), 0.3);
    ExpectProseIsCut(*known.tokenizer);
  }
}

}  // namespace
}  // namespace tandem
