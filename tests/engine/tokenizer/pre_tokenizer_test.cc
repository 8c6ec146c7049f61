#include "engine/tokenizer/pre_tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tests/engine/tokenizer/known_texts.h"
#include "tests/engine/tokenizer/reference_pattern.h"

namespace tandem {
namespace {

// The expressions of the families' published tokenizers.
constexpr char kGpt2[] =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr char kLlama3[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kQwen2[] =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kTekken[] =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
    R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr char kGpt4o[] =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"(\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
// [A-Za-zµÀ-ÖØ-öø-ƺ...]: the letters with case, one by one.
constexpr char kDeepSeekLetters[] =
    R"(\s?[)"
    R"(A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA})"
    R"(\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF}\x{370}-\x{373})"
    R"(\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C})"
    R"(\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F})"
    R"(\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD})"
    R"(\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B})"
    R"(\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15})"
    R"(\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D})"
    R"(\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D})"
    R"(\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4})"
    R"(\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB})"
    R"(\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102})"
    R"(\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126})"
    R"(\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139})"
    R"(\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184})"
    R"(\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2})"
    R"(\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F})"
    R"(\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF})"
    R"(\x{FB00}-\x{FB06}\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A})"
    R"(\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3})"
    R"(\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2})"
    R"(\x{118A0}-\x{118DF}\x{1E900}-\x{1E943})"
    R"(]+)";
constexpr char kAsian[] = R"([一-龥ࠀ-一가-\x{D7FF}]+)";

struct Published {
  const char* name;
  std::vector<std::string> patterns;
};

std::vector<Published> AllPublished() {
  const std::vector<std::string> smollm = {R"(\p{N})", kGpt2};
  return {
      {"gpt-2", {kGpt2}},
      {"phi-2", {kGpt2}},
      {"llama-bpe", {kLlama3}},
      {"llama3", {kLlama3}},
      {"llama-v3", {kLlama3}},
      {"falcon3", {kLlama3}},
      {"dbrx", {kLlama3}},
      {"smaug-bpe", {kLlama3}},
      {"qwen2", {kQwen2}},
      {"deepseek-r1-qwen", {kQwen2}},
      {"smollm", smollm},
      {"starcoder", smollm},
      {"refact", smollm},
      {"tekken", {kTekken}},
      {"gpt-4o", {kGpt4o}},
      {"falcon", {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2, "[0-9][0-9][0-9]"}},
      {"default",
       {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
      {"deepseek-llm",
       {"[\\r\\n]", kDeepSeekLetters, "\\s?[!-/:-~！-／：-～‘-‟\\x{3000}-。]+",
        "\\s+$", kAsian, R"(\p{N}+)"}},
      {"deepseek-coder",
       {"[\\r\\n]", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kAsian, R"(\p{N})"}},
  };
}

std::vector<std::string> SplitBy(const std::string& name,
                                 const std::string& text) {
  const PreTokenizer* const pre_tokenizer = PreTokenizer::Find(name);
  EXPECT_NE(pre_tokenizer, nullptr) << name;
  std::vector<std::string> words;
  if (pre_tokenizer == nullptr) return words;
  pre_tokenizer->Split(
      text, [&words](absl::string_view word) { words.emplace_back(word); });
  return words;
}

// Characters of all kinds that some expression tells apart.
const std::vector<std::string>& Alphabet() {
  static const std::vector<std::string> alphabet = {
      "a",      "b",      "B",      "s",      "S",          "t",
      "r",      "e",      "E",      "l",      "L",          "m",
      "v",      "d",      "D",      "\u017f", "\u01c5",     "\u02b0",
      "\u4e2d", "\u3072", "\ud55c", "\u0301", "\u0903",     "\u00e9",
      "\u03a9", "\u2126", "\u10d0", "\u13fd", "\u1fbe",     "\U00010400",
      "1",      "2",      "9",      "\u00b2", "\u0663",     "\u2167",
      ".",      ",",      "!",      "/",      "$",          "+",
      "<",      "=",      "^",      "`",      "~",          "|",
      "_",      "-",      "'",      "'",      "\u2019",     "\u3002",
      "\uff0c", "\uff21", "\u20ac", "\u2190", "\U0001F600", "\u200d",
      "\r",     "\n",     "\n",     " ",      " ",          " ",
      "\t",     "\u00a0", "\u0085", "\u2028", "\u3000",     "\x01",
      "\u9fa5", "\u9fa6", "\ud7a3", "\u0800", "\u07ff",     "\ufffd"};
  return alphabet;
}

TEST(PreTokenizerTest, CutsAsThePublishedExpressions) {
  std::mt19937_64 random(3);
  for (const Published& published : AllPublished()) {
    const std::vector<ReferencePattern> patterns(published.patterns.begin(),
                                                 published.patterns.end());
    for (int round = 0; round < 1500; ++round) {
      std::string text;
      // Few different characters make longer runs.
      const size_t kinds = 1 + random() % Alphabet().size();
      const size_t first = random() % Alphabet().size();
      for (uint64_t n = random() % 24; n > 0; --n) {
        text += Alphabet()[(first + random() % kinds) % Alphabet().size()];
      }
      ASSERT_EQ(SplitBy(published.name, text), SplitByPatterns(patterns, text))
          << published.name << ": " << testing::PrintToString(text);
    }
  }
}

TEST(PreTokenizerTest, CutsShortTextsAsThePublishedExpressions) {
  // All texts of up to 4 of these characters: every place where rules meet.
  const std::vector<std::string> letters = {"a", "B", "\u4e2d", "1", ".",
                                            "'", "s", " ",      "\n"};
  std::vector<std::string> texts = {""};
  for (size_t begin = 0, length = 0; length < 4; ++length) {
    const size_t end = texts.size();
    for (size_t i = begin; i < end; ++i) {
      for (const std::string& letter : letters) {
        texts.push_back(texts[i] + letter);
      }
    }
    begin = end;
  }
  for (const Published& published : AllPublished()) {
    if (published.patterns.size() > 1 &&
        !absl::StartsWith(published.name, "d")) {
      continue;
    }
    const std::vector<ReferencePattern> patterns(published.patterns.begin(),
                                                 published.patterns.end());
    for (const std::string& text : texts) {
      ASSERT_EQ(SplitBy(published.name, text), SplitByPatterns(patterns, text))
          << published.name << ": " << testing::PrintToString(text);
    }
  }
}

// What the families do differently, by example.
TEST(PreTokenizerTest, TellsTheFamiliesApart) {
  using Words = std::vector<std::string>;
  const std::string text = "I'LL pay  12345 $x!!\n\n ok";
  EXPECT_EQ(SplitBy("gpt-2", text),
            (Words{"I", "'", "LL", " pay", " ", " 12345", " $", "x", "!!",
                   "\n\n", " ok"}));
  EXPECT_EQ(SplitBy("llama-bpe", text),
            (Words{"I", "'LL", " pay", " ", " ", "123", "45", " $", "x",
                   "!!\n\n", " ok"}));
  EXPECT_EQ(SplitBy("qwen2", "12 3"), (Words{"1", "2", " ", "3"}));
  EXPECT_EQ(SplitBy("smollm", "a 12"), (Words{"a", " ", "1", "2"}));
  EXPECT_EQ(SplitBy("tekken", "HTTPServer's"), (Words{"HTTPServer", "'s"}));
  EXPECT_EQ(SplitBy("gpt-4o", "HTTPServer's"), (Words{"HTTPServer's"}));
  EXPECT_EQ(SplitBy("gpt-4o", "camelCase"), (Words{"camel", "Case"}));
  EXPECT_EQ(SplitBy("falcon", "1234567"), (Words{"123", "456", "7"}));
  EXPECT_EQ(SplitBy("deepseek-coder", "\t\tx"), (Words{"\t", "\tx"}));
}

TEST(PreTokenizerTest, FindsByNameOnly) {
  EXPECT_EQ(PreTokenizer::Find(""), nullptr);
  EXPECT_EQ(PreTokenizer::Find("gpt-5"), nullptr);
  EXPECT_EQ(PreTokenizer::Find("GPT-2"), nullptr);
  size_t published = 0;
  for (const Published& entry : AllPublished()) {
    EXPECT_NE(PreTokenizer::Find(entry.name), nullptr) << entry.name;
    ++published;
  }
  // Each name has its expressions above.
  const std::vector<std::string> names =
      absl::StrSplit(PreTokenizer::Names(), ", ");
  EXPECT_EQ(names.size(), published);
  EXPECT_TRUE(PreTokenizer::Find("llama-bpe")->ignores_merges());
  EXPECT_TRUE(PreTokenizer::Find("llama-bpe")->adds_bos());
  EXPECT_TRUE(PreTokenizer::Find("tekken")->ignores_merges());
  EXPECT_FALSE(PreTokenizer::Find("gpt-2")->ignores_merges());
  EXPECT_FALSE(PreTokenizer::Find("qwen2")->adds_bos());
}

TEST(PreTokenizerTest, KeepsBytesThatAreNotUtf8) {
  std::mt19937_64 random(4);
  for (const Published& published : AllPublished()) {
    for (int round = 0; round < 300; ++round) {
      std::string text;
      for (uint64_t n = random() % 20; n > 0; --n) {
        text.push_back(static_cast<char>(random() % 256));
      }
      const std::vector<std::string> words = SplitBy(published.name, text);
      ASSERT_EQ(absl::StrJoin(words, ""), text);
      ASSERT_EQ(std::count(words.begin(), words.end(), ""), 0);
    }
  }
}

// Texts on which a careless scanner goes through the same run again and again:
// so long that it would look at each more than kLooksMax times on average.
TEST(PreTokenizerTest, LooksAtEachCharacterAFewTimes) {
  constexpr size_t kRepeats = 4 * PreTokenizer::kLooksMax;
  const auto repeat = [](const std::string& unit) {
    std::string text;
    for (size_t i = 0; i < kRepeats; ++i) text += unit;
    return text;
  };
  std::vector<std::string> texts;
  for (const std::string& unit : Alphabet()) {
    texts.push_back(repeat(unit));
    for (const std::string& other : Alphabet()) {
      texts.push_back(repeat(unit + other));
      texts.push_back(other + repeat(unit));
      texts.push_back(repeat(unit) + other);
    }
  }
  for (const Published& published : AllPublished()) {
    size_t most = 0;
    for (const std::string& text : texts) {
      const size_t characters = ToCodePoints(text).size();
      const size_t looks =
          PreTokenizer::Find(published.name)->Split(text, [](auto) {});
      most = std::max(most, (looks + characters - 1) / characters);
      ASSERT_LE(looks, PreTokenizer::kLooksMax * characters)
          << published.name << ": "
          << testing::PrintToString(text.substr(0, 9));
    }
    RecordProperty(published.name, static_cast<int>(most));
  }
}

}  // namespace
}  // namespace tandem
