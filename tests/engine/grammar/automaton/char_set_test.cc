#include "engine/grammar/automaton/char_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace tandem {
namespace {

using ::testing::ElementsAre;

TEST(CharSetTest, RangesAreMergedAndSurrogatesLeftOut) {
  const CharSet set({{.first = 5, .last = 9},
                     {.first = 1, .last = 3},
                     {.first = 4, .last = 4},
                     {.first = 0xD000, .last = 0xE000},
                     {.first = kCodePointMax, .last = kCodePointMax + 9}});
  EXPECT_THAT(set.ranges(),
              ElementsAre(CharRange{1, 9}, CharRange{0xD000, 0xD7FF},
                          CharRange{0xE000, 0xE000},
                          CharRange{kCodePointMax, kCodePointMax}));
}

TEST(CharSetTest, OperationsAreThoseOfSets) {
  std::mt19937_64 random(1);
  const auto random_set = [&random] {
    std::vector<CharRange> ranges;
    for (int i = 0; i < 4; ++i) {
      const auto first = static_cast<uint32_t>(random() % 64);
      ranges.push_back({first, first + static_cast<uint32_t>(random() % 8)});
    }
    return CharSet(std::move(ranges));
  };
  for (int round = 0; round < 200; ++round) {
    const CharSet a = random_set();
    const CharSet b = random_set();
    for (uint32_t c = 0; c < 80; ++c) {
      EXPECT_EQ(a.Complement().Contains(c), !a.Contains(c));
      EXPECT_EQ(a.Union(b).Contains(c), a.Contains(c) || b.Contains(c));
      EXPECT_EQ(a.Intersection(b).Contains(c), a.Contains(c) && b.Contains(c));
      EXPECT_EQ(a.Without(b).Contains(c), a.Contains(c) && !b.Contains(c));
    }
  }
  EXPECT_TRUE(CharSet::Any().Complement().empty());
}

bool IsIn(const std::vector<std::vector<ByteRange>>& sequences,
          const std::string& bytes) {
  int found = 0;
  for (const auto& sequence : sequences) {
    bool is_in = sequence.size() == bytes.size();
    for (size_t i = 0; is_in && i < bytes.size(); ++i) {
      const auto byte = static_cast<uint8_t>(bytes[i]);
      is_in = sequence[i].first <= byte && byte <= sequence[i].last;
    }
    found += is_in ? 1 : 0;
  }
  EXPECT_LE(found, 1);
  return found == 1;
}

TEST(CharSetTest, Utf8OfASetIsThatOfItsCharacters) {
  const CharSet set({{.first = 'a', .last = 'f'},
                     {.first = 0x7E, .last = 0x81},
                     {.first = 0x7FE, .last = 0x1234},
                     {.first = 0xD7F0, .last = 0xE010},
                     {.first = 0xFFF0, .last = 0x12345},
                     {.first = 0x10FFFE, .last = 0x10FFFF}});
  const auto sequences = Utf8RangesOf(set);
  for (uint32_t c = 0; c <= kCodePointMax; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string bytes;
    AppendUtf8Of(c, &bytes);
    ASSERT_EQ(IsIn(sequences, bytes), set.Contains(c)) << c;
  }
  // All characters: one byte, and the five shapes of Unicode's table 3-7.
  EXPECT_EQ(Utf8RangesOf(CharSet::Any()).size(), 9u);
}

TEST(CharSetTest, CodePointsAreReadAsTheyAreWritten) {
  std::string text;
  const std::vector<uint32_t> code_points = {
      0, 'a', 0x7F, 0x80, 0x7FF, 0x800, 0xD7FF, 0xFFFF, 0x10000, 0x10FFFF};
  for (const uint32_t c : code_points) AppendUtf8Of(c, &text);
  EXPECT_EQ(CodePointsOf(text), code_points);
  EXPECT_THAT(CodePointsOf("a\xFF\xC3z"), ElementsAre('a', 'z'));
}

}  // namespace
}  // namespace tandem
