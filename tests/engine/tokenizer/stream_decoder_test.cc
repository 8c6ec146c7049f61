#include "engine/tokenizer/stream_decoder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "engine/base/utf8.h"
#include "tests/engine/tokenizer/test_vocabulary.h"

namespace tandem {
namespace {

// A vocabulary of bytes, some of which can only be damage, and of the given
// pieces.
std::unique_ptr<Tokenizer> TokenizerOf(const std::vector<std::string>& pieces) {
  TestVocabulary vocabulary = TestVocabulary::WithBytes();
  for (const std::string& piece : pieces) {
    vocabulary.Add(piece, TokenKind::kUserDefined);
  }
  return MakeTokenizer(vocabulary);
}

constexpr TokenId kFirstPiece = 3 + 256;

TokenId ByteToken(uint8_t byte) { return 3 + byte; }

std::vector<TokenId> ByteTokens(absl::string_view text) {
  std::vector<TokenId> ids;
  for (const char c : text) ids.push_back(ByteToken(static_cast<uint8_t>(c)));
  return ids;
}

// `bytes` as text, U+FFFD for each maximal subpart; without an unfinished
// character at the end unless `finished`.
std::string TextOf(absl::string_view bytes, bool finished) {
  std::string text;
  while (!bytes.empty()) {
    const Utf8Prefix first = FirstUtf8(bytes);
    if (first.kind == Utf8Prefix::Kind::kUnfinished && !finished) break;
    text += first.kind == Utf8Prefix::Kind::kCharacter
                ? std::string(bytes.substr(0, first.bytes))
                : kReplacementCharacter;
    bytes.remove_prefix(first.bytes);
  }
  return text;
}

struct Expected {
  std::string text;
  bool stopped = false;
};

// What is decided of `ids`, worked out from the whole prefix every time.
Expected DecidePlainly(const Tokenizer& tokenizer,
                       const std::vector<TokenId>& ids,
                       const std::vector<std::string>& stops, bool finished) {
  std::string bytes;
  std::string text;
  for (size_t n = 0; n <= ids.size(); ++n) {
    if (n > 0) bytes += std::string(tokenizer.TokenText(ids[n - 1], true));
    text = TextOf(bytes, finished && n == ids.size());
    size_t earliest = std::string::npos;
    for (const std::string& stop : stops) {
      earliest = std::min(earliest, text.find(stop));
    }
    if (earliest != std::string::npos) return {text.substr(0, earliest), true};
  }
  if (finished) return {text, false};
  for (size_t begin = 0; begin < text.size(); ++begin) {
    for (const std::string& stop : stops) {
      if (absl::StartsWith(stop, text.substr(begin))) {
        return {text.substr(0, begin), false};
      }
    }
  }
  return {text, false};
}

TEST(StreamDecoderTest, ShowsTextAsItComes) {
  const auto tokenizer = TokenizerOf({"hello", " world"});
  StreamDecoder decoder(tokenizer.get(), {});
  EXPECT_FALSE(decoder.Push(kFirstPiece));
  EXPECT_EQ(decoder.decided(), "hello");
  EXPECT_FALSE(decoder.Push(1));  // BOS is never text
  EXPECT_FALSE(decoder.Push(kFirstPiece + 1));
  EXPECT_EQ(decoder.decided(), "hello world");
  decoder.Finish();
  EXPECT_EQ(decoder.decided(), "hello world");
}

TEST(StreamDecoderTest, HoldsBackUnfinishedCharacters) {
  const auto tokenizer = TokenizerOf({});
  StreamDecoder decoder(tokenizer.get(), {});
  const std::string emoji = "\xF0\x9F\x98\x80";
  for (size_t i = 0; i < 3; ++i) {
    decoder.Push(ByteToken(static_cast<uint8_t>(emoji[i])));
    EXPECT_EQ(decoder.decided(), "");
  }
  decoder.Push(ByteToken(0x80));
  EXPECT_EQ(decoder.decided(), emoji);
  decoder.Push(ByteToken(0xE2));
  decoder.Push(ByteToken(0x96));
  EXPECT_EQ(decoder.decided(), emoji);
  decoder.Push(ByteToken('x'));  // ends the unfinished one
  EXPECT_EQ(decoder.decided(), emoji + "\uFFFDx");
  decoder.Push(ByteToken(0xE2));
  decoder.Finish();
  EXPECT_EQ(decoder.decided(), emoji + "\uFFFDx\uFFFD");
  decoder.Finish();
  EXPECT_EQ(decoder.decided(), emoji + "\uFFFDx\uFFFD");
}

TEST(StreamDecoderTest, HoldsBackWhatMayBeginAStopString) {
  const auto tokenizer = TokenizerOf({});
  StreamDecoder decoder(tokenizer.get(), {"END", "aab"});
  const auto push = [&decoder](char c) {
    return decoder.Push(ByteToken(static_cast<uint8_t>(c)));
  };
  EXPECT_FALSE(push('a'));
  EXPECT_FALSE(push('a'));
  EXPECT_EQ(decoder.decided(), "");
  EXPECT_FALSE(push('a'));  // the first one is free now
  EXPECT_EQ(decoder.decided(), "a");
  EXPECT_FALSE(push('E'));
  EXPECT_EQ(decoder.decided(), "aaa");
  EXPECT_FALSE(push('N'));
  EXPECT_TRUE(push('D'));
  EXPECT_EQ(decoder.decided(), "aaa");
  decoder.Finish();
  EXPECT_EQ(decoder.decided(), "aaa");
  EXPECT_TRUE(push('x'));  // nothing follows a stop string
  EXPECT_EQ(decoder.decided(), "aaa");
}

TEST(StreamDecoderTest, FinishGivesWhatWasHeldBack) {
  const auto tokenizer = TokenizerOf({});
  StreamDecoder decoder(tokenizer.get(), {"END"});
  for (const TokenId id : ByteTokens("the EN")) EXPECT_FALSE(decoder.Push(id));
  EXPECT_EQ(decoder.decided(), "the ");
  decoder.Finish();
  EXPECT_EQ(decoder.decided(), "the EN");
  EXPECT_FALSE(decoder.Push(ByteToken('D')));
  EXPECT_EQ(decoder.decided(), "the EN");
}

TEST(StreamDecoderTest, TheStopStringThatStartsFirstEndsTheText) {
  const auto tokenizer = TokenizerOf({"xabcdy"});
  for (const std::vector<std::string>& stops :
       {std::vector<std::string>{"bc", "abcd"},
        {"abcd", "bc"},
        {"ab", "abcd", "cd"}}) {
    StreamDecoder decoder(tokenizer.get(), stops);
    EXPECT_TRUE(decoder.Push(kFirstPiece));
    EXPECT_EQ(decoder.decided(), "x");
  }
}

TEST(StreamDecoderTest, AControlTokenThatIsCalledAsAStopStringStops) {
  const std::unique_ptr<Tokenizer> tokenizer = TokenizerOf({});
  constexpr TokenId kEos = 2;  // "</s>", a control token
  StreamDecoder other(tokenizer.get(), {"<s>"});
  EXPECT_FALSE(other.Push(kEos));
  StreamDecoder decoder(tokenizer.get(), {"yes", "</s>"});
  for (const TokenId id : ByteTokens("aye")) EXPECT_FALSE(decoder.Push(id));
  EXPECT_EQ(decoder.decided(), "a");
  EXPECT_TRUE(decoder.Push(kEos));
  // What might have begun the other one is text now.
  EXPECT_EQ(decoder.decided(), "aye");
  decoder.Finish();
  EXPECT_TRUE(decoder.Push(ByteToken('x')));
  EXPECT_EQ(decoder.decided(), "aye");
}

TEST(StreamDecoderTest, AUserDefinedChatMarkerThatIsAStopStringStops) {
  const std::unique_ptr<Tokenizer> tokenizer = TokenizerOf({"<|user|>", "<b>"});
  ASSERT_EQ(tokenizer->kind(kFirstPiece), TokenKind::kUserDefined);
  ASSERT_EQ(tokenizer->TokenText(kFirstPiece, /*skip_special=*/true), "");
  StreamDecoder decoder(tokenizer.get(), {"<|user|>"});
  EXPECT_FALSE(decoder.Push(ByteToken('a')));
  EXPECT_FALSE(decoder.Push(kFirstPiece + 1));
  EXPECT_TRUE(decoder.Push(kFirstPiece));
  EXPECT_EQ(decoder.decided(), "a<b>");
}

TEST(StreamDecoderTest, TheNameOfAControlTokenAsTextStopsToo) {
  const std::unique_ptr<Tokenizer> tokenizer = TokenizerOf({});
  StreamDecoder decoder(tokenizer.get(), {"</s>"});
  bool stopped = false;
  for (const TokenId id : ByteTokens("a</s>")) stopped = decoder.Push(id);
  EXPECT_TRUE(stopped);
  EXPECT_EQ(decoder.decided(), "a");
}

TEST(StreamDecoderTest, AStopStringMayBeAReplacementCharacter) {
  const auto tokenizer = TokenizerOf({});
  StreamDecoder decoder(tokenizer.get(), {"x\uFFFD"});
  for (const TokenId id : ByteTokens("ax\xE2")) {
    EXPECT_FALSE(decoder.Push(id));
  }
  decoder.Finish();
  EXPECT_EQ(decoder.decided(), "a");
  EXPECT_TRUE(decoder.Push(ByteToken('b')));
}

TEST(StreamDecoderDeathTest, StopsOnAnEmptyStopString) {
  const auto tokenizer = TokenizerOf({});
  EXPECT_DEATH(StreamDecoder(tokenizer.get(), {""}), "");
}

// Few letters, pieces that overlap, bytes that make and break characters.
struct RandomCase {
  std::vector<TokenId> ids;
  std::vector<std::string> stops;
};

RandomCase MakeCase(std::mt19937_64* random, size_t pieces) {
  const auto below = [random](size_t n) { return (*random)() % n; };
  const std::vector<std::string> letters = {"a",      "b",          "\u00e9",
                                            "\u20ac", "\U0001F600", "\uFFFD"};
  RandomCase result;
  for (size_t n = below(4); n > 0; --n) {
    std::string stop;
    for (size_t m = 1 + below(5); m > 0; --m) stop += letters[below(6)];
    result.stops.push_back(stop);
  }
  for (size_t n = below(40); n > 0; --n) {
    switch (below(4)) {
      case 0: {  // a character in bytes, now and then cut
        std::vector<TokenId> bytes = ByteTokens(letters[below(6)]);
        if (below(4) == 0) bytes.pop_back();
        result.ids.insert(result.ids.end(), bytes.begin(), bytes.end());
        break;
      }
      case 1:
        result.ids.push_back(static_cast<TokenId>(below(256)) + 3);
        break;
      case 2:
        result.ids.push_back(static_cast<TokenId>(below(3)));  // special
        break;
      default:
        result.ids.push_back(kFirstPiece + static_cast<TokenId>(below(pieces)));
    }
  }
  return result;
}

TEST(StreamDecoderTest, IsAFunctionOfTheTokensAlone) {
  const std::vector<std::string> pieces = {"a",
                                           "b",
                                           "aa",
                                           "ab",
                                           "ba",
                                           "aab",
                                           "\u00e9",
                                           "a\u00e9",
                                           "\u20acb",
                                           "\xC3",
                                           "b\xF0\x9F",
                                           "\x98\x80"
                                           "a",
                                           "\xE2\x82"};
  const auto tokenizer = TokenizerOf(pieces);
  std::mt19937_64 random(3);
  int stopped = 0;
  for (int round = 0; round < 5000; ++round) {
    const RandomCase test = MakeCase(&random, pieces.size());
    StreamDecoder decoder(tokenizer.get(), test.stops);
    // The client sees text in groups of tokens; what it joins must be what
    // each prefix decides.
    std::string joined;
    std::vector<TokenId> prefix;
    bool is_stopped = false;
    for (const TokenId id : test.ids) {
      prefix.push_back(id);
      is_stopped = decoder.Push(id);
      const Expected expected =
          DecidePlainly(*tokenizer, prefix, test.stops, /*finished=*/false);
      ASSERT_EQ(is_stopped, expected.stopped);
      ASSERT_EQ(decoder.decided(), expected.text);
      if (random() % 3 == 0) joined += decoder.decided().substr(joined.size());
      if (is_stopped) break;
    }
    stopped += is_stopped;
    decoder.Finish();
    const Expected expected =
        DecidePlainly(*tokenizer, prefix, test.stops, /*finished=*/true);
    ASSERT_EQ(decoder.decided(), expected.text);
    ASSERT_EQ(joined, decoder.decided().substr(0, joined.size()));
    ASSERT_EQ(TextOf(decoder.decided(), true), decoder.decided());
  }
  EXPECT_GT(stopped, 500);  // else the stop strings are not tested
  EXPECT_LT(stopped, 4500);
}

// One letter short of a stop string of 256 bytes, for a long time: what a
// search from each position would make slow.
TEST(StreamDecoderTest, LongStopStringsCostNoMoreThanShortOnes) {
  const auto tokenizer = TokenizerOf({});
  std::vector<std::string> stops(16, std::string(255, 'a') + "b");
  StreamDecoder decoder(tokenizer.get(), stops);
  for (int i = 0; i < 100000; ++i) {
    ASSERT_FALSE(decoder.Push(ByteToken('a')));
  }
  EXPECT_EQ(decoder.decided().size(), 100000u - 255u);
  EXPECT_TRUE(decoder.Push(ByteToken('b')));
  EXPECT_EQ(decoder.decided().size(), 100000u - 255u);
}

}  // namespace
}  // namespace tandem
