#include "engine/grammar/free_text.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/utf8.h"
#include "engine/grammar/automaton/grammar_parser.h"
#include "tests/engine/grammar/oracle/grammar_test_util.h"

namespace tandem {
namespace {

using Place = FreeTextMark::Place;

struct Mark {
  std::string bytes;
  Place place = Place::kAnywhere;
  std::string next = "!";
};

Grammar FreeTextOf(const std::vector<Mark>& marks, bool may_end = true) {
  GrammarBuilder b;
  std::vector<FreeTextMark> text_marks;
  for (const Mark& mark : marks) {
    text_marks.push_back({.bytes = mark.bytes,
                          .place = mark.place,
                          .next = b.Literal(mark.next)});
  }
  const ExprId text = FreeText(text_marks, may_end ? b.Empty() : b.Never(), &b);
  return GrammarOf(&b, text);
}

bool IsUtf8(absl::string_view text) {
  while (!text.empty()) {
    const Utf8Prefix prefix = FirstUtf8(text);
    if (prefix.kind != Utf8Prefix::Kind::kCharacter) return false;
    text.remove_prefix(prefix.bytes);
  }
  return true;
}

bool IsBlank(absl::string_view text) {
  return text.find_first_not_of(" \t\n\r") == absl::string_view::npos;
}

// What FreeText should match, by its definition.
bool Expected(const std::vector<Mark>& marks, bool may_end,
              absl::string_view text) {
  if (!IsUtf8(text)) return false;
  for (size_t end = 1; end <= text.size(); ++end) {
    bool is_completed = false;
    bool goes_on = false;
    for (const Mark& mark : marks) {
      const absl::string_view read = text.substr(0, end);
      if (!absl::EndsWith(read, mark.bytes)) continue;
      const absl::string_view before = read.substr(0, end - mark.bytes.size());
      if (mark.place == Place::kAtStart && !IsBlank(before)) continue;
      is_completed = true;
      goes_on |= text.substr(end) == mark.next;
    }
    if (is_completed) return goes_on;
  }
  return may_end;
}

// All texts of up to `length` bytes of `alphabet`.
void CompareAll(const std::vector<Mark>& marks, absl::string_view alphabet,
                size_t length) {
  for (const bool may_end : {true, false}) {
    const Grammar grammar = FreeTextOf(marks, may_end);
    GrammarParser parser(&grammar);
    std::vector<std::pair<std::string, SetId>> texts = {{"", parser.Start()}};
    while (!texts.empty()) {
      const auto [text, set] = texts.back();
      texts.pop_back();
      ASSERT_EQ(parser.set(set).may_end, Expected(marks, may_end, text))
          << absl::CEscape(text) << " with " << absl::CEscape(marks[0].bytes);
      if (text.size() == length) continue;
      for (const char byte : alphabet) {
        texts.emplace_back(text + byte,
                           parser.Step(set, static_cast<uint8_t>(byte)));
      }
    }
  }
}

TEST(FreeTextTest, HasNoMarkButWhereItGoesOn) {
  for (const char* mark : {"a", "aa", "aab", "aba", "abab", "abaab", "a!a"}) {
    CompareAll({{.bytes = mark}}, "ab!", 8);
  }
}

TEST(FreeTextTest, MarksOfLongCharactersAreFoundAsCharacters) {
  for (const char* mark : {"\xC3\xA9", "a\xC3\xA9", "\xC3\xA9\xC3\xA8",
                           "\xC3\xA9"
                           "a\xC3\xA9"}) {
    CompareAll({{.bytes = mark}}, "a!\xC3\xA9\xA8", 6);
  }
  // "<", U+FF5C, ">" beside characters that begin alike.
  CompareAll({{.bytes = "<\xEF\xBD\x9C>"}}, "<>\xEF\xBD\x9C\x9D", 6);
}

TEST(FreeTextTest, AMarkAtTheStartIsPlainTextLater) {
  for (const char* mark : {"a", "ab", "aab", " a", " a ", "\n"}) {
    CompareAll({{.bytes = mark, .place = Place::kAtStart}}, "ab! \n", 6);
  }
}

TEST(FreeTextTest, TheFirstOfSeveralMarksCounts) {
  CompareAll(
      {{.bytes = "ab", .place = Place::kAtStart}, {.bytes = "ba", .next = "?"}},
      "ab!? ", 6);
  CompareAll({{.bytes = "aab", .place = Place::kAtStart},
              {.bytes = "ab", .next = "?"}},
             "ab!? ", 6);
  CompareAll({{.bytes = "aab"}, {.bytes = "bb", .next = ""}}, "ab!", 7);
}

TEST(FreeTextTest, TakesAllOfUtf8AndNothingElse) {
  const Grammar grammar = FreeTextOf({{.bytes = "<x>"}});
  for (const uint32_t character :
       {0x0u, 0x7Fu, 0x80u, 0x7FFu, 0x800u, 0xD7FFu, 0xE000u, 0xFFFFu, 0x10000u,
        0x3FFFFu, 0x40000u, 0xFFFFFu, 0x100000u, 0x10FFFFu}) {
    std::string text = "<x";
    AppendUtf8Of(character, &text);
    EXPECT_TRUE(Matches(grammar, text)) << character;
    EXPECT_TRUE(Matches(grammar, text + "<x>!")) << character;
    const std::string unfinished = text.substr(0, text.size() - 1);
    EXPECT_EQ(Matches(grammar, unfinished), character < 0x80) << character;
  }
  for (const char* text :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80",
        "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF",
        "\xFE", "\xC3<x>!"}) {
    EXPECT_FALSE(MatchesPrefix(grammar, text)) << absl::CEscape(text);
  }
}

TEST(FreeTextTest, AControlTokenIsTheMarkAndNothingElse) {
  const Grammar first = FreeTextOf({{.bytes = "\xFF<t>\xFE"}});
  EXPECT_TRUE(Matches(first, "a<t>"));
  EXPECT_TRUE(Matches(first, "a\xFF<t>\xFE!"));
  EXPECT_FALSE(MatchesPrefix(first, "a\xFF<u"));
  EXPECT_FALSE(Matches(first, "a\xFF<t>"));

  const Grammar middle = FreeTextOf({{.bytes = "ab\xFF<t>\xFE[\xFF<u>\xFE"}});
  EXPECT_TRUE(Matches(middle, "ab"));
  EXPECT_TRUE(Matches(middle, "abab\xFF<t>\xFE[\xFF<u>\xFE!"));
  EXPECT_FALSE(MatchesPrefix(middle, "a\xFF"));
  EXPECT_FALSE(MatchesPrefix(middle, "ab\xFF<u"));
  EXPECT_FALSE(Matches(middle, "ab\xFF<t>\xFE"));
  EXPECT_FALSE(MatchesPrefix(middle, "ab\xFF<t>\xFE]"));
}

TEST(FreeTextTest, WithoutANextTheMarkNeverComes) {
  GrammarBuilder b;
  const Grammar grammar = GrammarOf(
      &b, FreeText({{.bytes = "<x>", .next = b.Never()}}, b.Empty(), &b));
  EXPECT_TRUE(Matches(grammar, "<x<x"));
  EXPECT_FALSE(MatchesPrefix(grammar, "<x<x>"));
}

TEST(FreeTextTest, IsAsLongAsItLikesInFewStates) {
  const Grammar grammar = FreeTextOf({{.bytes = "<tool_call>"}});
  // One for each byte of the mark, 7 within characters, and those around.
  EXPECT_LE(grammar.states.size(), 11u + 7 + 8);
  std::string text;
  while (text.size() < 100'000) absl::StrAppend(&text, "<tool_call \xC3\xA9");
  EXPECT_TRUE(Matches(grammar, text));
  EXPECT_TRUE(Matches(grammar, text + "<tool_call>!"));
}

TEST(FreeTextTest, AMarkThatRepeatsItselfIsCompiledFast) {
  const Grammar grammar = FreeTextOf(
      {{.bytes = std::string(kTextMarkBytesMax, ' '), .place = Place::kAtStart},
       {.bytes = std::string(kTextMarkBytesMax, 'a')}});
  EXPECT_LE(grammar.states.size(), 3 * kTextMarkBytesMax);
  EXPECT_TRUE(Matches(grammar, std::string(kTextMarkBytesMax - 1, 'a')));
  EXPECT_FALSE(Matches(grammar, std::string(kTextMarkBytesMax, 'a')));
}

TEST(FreeTextTest, ShortSpaceIsShort) {
  GrammarBuilder b;
  const Grammar grammar = GrammarOf(&b, ShortSpace(&b));
  for (const char* text : {"", "\n", " ", "\n\n", "\n "}) {
    EXPECT_TRUE(Matches(grammar, text));
  }
  EXPECT_FALSE(Matches(grammar, "\n\n\n"));
  EXPECT_FALSE(Matches(grammar, "\t"));
}

}  // namespace
}  // namespace tandem
