#include "tools/tandem/chat/shading.h"

#include <string>

#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

struct Round {
  int accepted;
  int tokens;
};

v1::TokensGenerated EventOf(const std::string& text,
                            const std::vector<Round>& rounds) {
  v1::TokensGenerated event;
  event.set_text(text);
  for (const Round& round : rounds) {
    v1::VerifiedRound* const added = event.add_rounds();
    added->set_drafted_tokens(4);
    added->set_accepted_tokens(round.accepted);
    added->set_tokens(round.tokens);
  }
  return event;
}

// Drafted parts in brackets.
std::string Shown(const v1::TokensGenerated& event) {
  std::string shown;
  for (const ShadedSpan& span : ShadedSpans(event)) {
    shown += span.is_drafted ? "[" : "";
    shown.append(span.text.data(), span.text.size());
    shown += span.is_drafted ? "]" : "";
  }
  return shown;
}

TEST(ShadedSpansTest, TheTargetsOwnTokensAreNotShaded) {
  EXPECT_EQ(Shown(EventOf(" once", {{0, 1}})), " once");
  EXPECT_EQ(Shown(EventOf(" once", {})), " once");  // after a resume
  EXPECT_EQ(Shown(EventOf("", {{3, 4}})), "");
}

TEST(ShadedSpansTest, ARoundsTextIsDividedAtTheNearestToken) {
  EXPECT_EQ(Shown(EventOf(" upon a time", {{2, 3}})), "[ upon a] time");
  EXPECT_EQ(Shown(EventOf(" the king said", {{2, 3}})), "[ the king] said");
  EXPECT_EQ(Shown(EventOf(" king.", {{1, 2}})), "[ king].");
  EXPECT_EQ(Shown(EventOf("!\n\nAnd", {{2, 3}})), "[!\n\n]And");
}

TEST(ShadedSpansTest, WithoutABorderNearByTheShareDecides) {
  EXPECT_EQ(Shown(EventOf("abcdefghij", {{1, 2}})), "[abcde]fghij");
  // Characters count, not bytes, and none is cut.
  EXPECT_EQ(Shown(EventOf("\u00e4\u00e4\u00e4\u00e4", {{3, 4}})),
            "[\u00e4\u00e4\u00e4]\u00e4");
}

TEST(ShadedSpansTest, ATurnMayEndInTheDraft) {
  EXPECT_EQ(Shown(EventOf(" a b", {{4, 2}})), "[ a b]");
  EXPECT_EQ(Shown(EventOf(" a b", {{-1, 2}})), " a b");
}

TEST(ShadedSpansTest, SeveralRoundsInOneEvent) {
  EXPECT_EQ(Shown(EventOf(" aaa bbb ccc ddd", {{1, 2}, {1, 2}})),
            "[ aaa] bbb[ ccc] ddd");
  EXPECT_EQ(Shown(EventOf(" aaa bbb", {{0, 1}, {0, 1}})), " aaa bbb");
}

TEST(ShadedSpansTest, TheSpansAreTheText) {
  const std::string text = "It \u00e4\u732b was, so\n\n \U0001f600";
  for (int tokens = 1; tokens < 30; ++tokens) {
    for (int accepted = 0; accepted <= tokens; ++accepted) {
      const v1::TokensGenerated event =
          EventOf(text, {{accepted, tokens}, {1, 3}});
      std::string joined;
      for (const ShadedSpan& span : ShadedSpans(event)) {
        EXPECT_FALSE(span.text.empty());
        joined.append(span.text.data(), span.text.size());
      }
      EXPECT_EQ(joined, text);
    }
  }
}

}  // namespace
}  // namespace tandem::cli
