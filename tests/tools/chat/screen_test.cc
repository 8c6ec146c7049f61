#include "tools/tandem/chat/screen.h"

#include <sstream>

#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

v1::TokensGenerated Drafted() {
  v1::TokensGenerated event;
  event.set_text(" a\n b c");
  v1::VerifiedRound* const round = event.add_rounds();
  round->set_drafted_tokens(4);
  round->set_accepted_tokens(2);
  round->set_tokens(3);
  return event;
}

v1::TurnEnded EndedWith(const std::string& text) {
  v1::TurnEnded event;
  event.set_text(text);
  return event;
}

// An event of a reply in parts; its text has the marks too.
v1::TokensGenerated Part(const std::string& text, const std::string& reasoning,
                         const std::string& content) {
  v1::TokensGenerated event = Drafted();
  event.set_text(text);
  event.mutable_reply()->set_reasoning(reasoning);
  event.mutable_reply()->set_content(content);
  return event;
}

class ScreenTest : public ::testing::Test {
 protected:
  Screen MakeScreen(Screen::Colour colour) { return Screen(io_, colour); }

  std::ostringstream out_;
  std::ostringstream err_;
  Io io_ = {.out = &out_, .err = &err_, .out_is_terminal = true};
};

TEST_F(ScreenTest, DraftedTextIsShadedLineByLine) {
  Screen screen = MakeScreen(Screen::Colour::kYes);
  screen.Reply(Drafted(), Shade::kDim);
  screen.EndReply();
  EXPECT_EQ(out_.str(), "\x1b[2m a\x1b[0m\n\x1b[2m b\x1b[0m c\n");
  EXPECT_TRUE(screen.TakeShaded());
  EXPECT_FALSE(screen.TakeShaded());
}

TEST_F(ScreenTest, ShadingMayBeOff) {
  Screen screen = MakeScreen(Screen::Colour::kYes);
  screen.Reply(Drafted(), Shade::kOff);
  EXPECT_EQ(out_.str(), " a\n b c");
  EXPECT_FALSE(screen.TakeShaded());
}

TEST_F(ScreenTest, WithoutColourThereIsNoEscapeSequence) {
  Screen screen = MakeScreen(Screen::Colour::kNo);
  screen.Reply(Drafted(), Shade::kBackground);
  screen.Note("(a note)");
  EXPECT_EQ(out_.str(), " a\n b c\n(a note)\n");
}

TEST_F(ScreenTest, AModelCanNotSendEscapeSequences) {
  v1::TokensGenerated event = Drafted();
  event.set_text("\x1b[2J \x1b]0;x\x07 c");
  Screen screen = MakeScreen(Screen::Colour::kNo);
  screen.Reply(event, Shade::kDim);
  screen.Reply(EndedWith("\x1b[2J"));
  screen.Print("\x1b[2J\n");
  screen.Note("\x1b[2J");
  screen.Error(absl::InternalError("\x1b[2J"));
  EXPECT_EQ(out_.str().find('\x1b'), std::string::npos) << out_.str();
  EXPECT_EQ(err_.str(), "tandem: \uFFFD[2J\n");
  Screen colourful = MakeScreen(Screen::Colour::kYes);
  out_.str("");
  colourful.Reply(event, Shade::kDim);
  EXPECT_EQ(out_.str().find("\x1b[2J"), std::string::npos);
  EXPECT_EQ(out_.str().find("\x1b]"), std::string::npos);
}

TEST_F(ScreenTest, ThoughtsAreDimAboveTheAnswer) {
  Screen screen = MakeScreen(Screen::Colour::kYes);
  screen.Reply(Part("<think>\nTwo", "Two", ""), Shade::kDim);
  screen.Reply(Part(" and", " and", ""), Shade::kDim);
  screen.Reply(Part(" two.</think>\nFour", " two.", "Four"), Shade::kDim);
  EXPECT_FALSE(screen.TakeShaded());
  screen.Reply(Part(" a b c", "", " a b c"), Shade::kDim);
  EXPECT_TRUE(screen.TakeShaded());
  v1::TurnEnded ended = EndedWith("</think>.");
  ended.mutable_reply()->set_content(".");
  screen.Reply(ended);
  screen.EndReply();
  EXPECT_EQ(out_.str(),
            "\x1b[2mthinking: \x1b[0m\x1b[2mTwo\x1b[0m\x1b[2m and\x1b[0m"
            "\x1b[2m two.\x1b[0m\n\nFour\x1b[2m a b\x1b[0m c.\n");
}

TEST_F(ScreenTest, AFileHasTheAnswerAlone) {
  io_.out_is_terminal = false;
  Screen screen = MakeScreen(Screen::Colour::kNo);
  screen.Reply(Part("<think>Two", "Two", ""), Shade::kDim);
  screen.Reply(Part("</think>Four", "", "Four"), Shade::kDim);
  screen.EndReply();
  EXPECT_EQ(out_.str(), "Four\n");
}

TEST_F(ScreenTest, NotesAndErrorsHaveLinesOfTheirOwn) {
  Screen screen = MakeScreen(Screen::Colour::kYes);
  screen.Reply(EndedWith("Once"));
  screen.Note("lost");
  screen.Reply(EndedWith(" upon"));
  screen.Error(absl::InternalError("gone"));
  EXPECT_EQ(out_.str(), "Once\n\x1b[2mlost\x1b[0m\n upon\n");
  EXPECT_EQ(err_.str(), "tandem: gone\n");
}

TEST_F(ScreenTest, AFileGetsRepliesByteForByteAndNoNotes) {
  io_.out_is_terminal = false;
  Screen screen = MakeScreen(Screen::Colour::kNo);
  screen.Note("lost");
  screen.Reply(EndedWith("a\x1b[2Jb"));
  screen.EndReply();
  screen.EndReply();
  EXPECT_EQ(out_.str(), "a\x1b[2Jb\n");
}

}  // namespace
}  // namespace tandem::cli
