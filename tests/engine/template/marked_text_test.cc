#include "engine/template/marked_text.h"

#include <gtest/gtest.h>

#include <vector>

namespace tandem {
namespace {

TEST(MarkedTextTest, KeepsMarksThroughSlicesAndJoins) {
  MarkedText text("ab", TextMark::kTemplate);
  text.Append("cd", TextMark::kContent);
  text.Append("ef", TextMark::kContent);
  text.Append("gh", TextMark::kTemplate);
  EXPECT_EQ(
      MarkedText(text).Parts(),
      (std::vector<TextPart>{{"ab", false}, {"cdef", true}, {"gh", false}}));
  EXPECT_EQ(text.MarkAt(1), TextMark::kTemplate);
  EXPECT_EQ(text.MarkAt(2), TextMark::kContent);
  EXPECT_EQ(text.MarkAt(5), TextMark::kContent);
  EXPECT_EQ(text.MarkAt(6), TextMark::kTemplate);
  // Every slice has the marks of its bytes.
  for (size_t begin = 0; begin <= text.size(); ++begin) {
    for (size_t end = begin; end <= text.size(); ++end) {
      const MarkedText slice = text.Slice(begin, end);
      ASSERT_EQ(slice.bytes(), text.bytes().substr(begin, end - begin));
      for (size_t i = 0; i < slice.size(); ++i) {
        ASSERT_EQ(slice.MarkAt(i), text.MarkAt(begin + i));
      }
    }
  }
}

TEST(MarkedTextTest, AnEmptyTextHasNoParts) {
  MarkedText text;
  text.Append("", TextMark::kContent);
  EXPECT_TRUE(MarkedText(text).Parts().empty());
}

TEST(MarkedTextTest, CountsItsPieces) {
  MarkedText text("a", TextMark::kContent);
  text.Append("-", TextMark::kTemplate);
  text.Append("b", TextMark::kContent);
  EXPECT_EQ(text.ranges(), 2);
  const MarkedText one("abc", TextMark::kContent);
  EXPECT_EQ(MarkedText(one).Parts(),
            (std::vector<TextPart>{{.text = "abc", .is_content = true}}));
}

}  // namespace
}  // namespace tandem
