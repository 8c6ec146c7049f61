#include "tools/tandem/chat/line_editor.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <thread>

#include "absl/strings/string_view.h"
#include "engine/base/descriptor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;
using Kind = LineEditor::Line::Kind;

// An editor at a terminal of its own.
class LineEditorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    setenv("TERM", "xterm", 1);
    setenv("EDITRC", "/nonexistent", 1);
    winsize size = {.ws_row = 24, .ws_col = 80, .ws_xpixel = 0, .ws_ypixel = 0};
    int ours = -1;
    int theirs = -1;
    ASSERT_EQ(openpty(&ours, &theirs, nullptr, nullptr, &size), 0);
    ours_ = Descriptor(ours);
    terminal_ = fdopen(theirs, "r+");
    ASSERT_NE(terminal_, nullptr);
    absl::StatusOr<std::unique_ptr<LineEditor>> made =
        LineEditor::Make({.in = terminal_,
                          .out = terminal_,
                          .err = terminal_,
                          .history = &history_,
                          .signals = &signals_});
    ASSERT_TRUE(made.ok()) << made.status();
    editor_ = *std::move(made);
  }
  void TearDown() override {
    editor_.reset();
    if (terminal_ != nullptr) fclose(terminal_);
  }

  // The keys come once the editor has the terminal: before, the terminal would
  // take some for itself.
  LineEditor::Line Typed(absl::string_view keys) {
    std::thread typist([this, keys] {
      termios mode;
      do {
        ASSERT_EQ(tcgetattr(ours_.number(), &mode), 0);
        std::this_thread::yield();
      } while ((mode.c_lflag & ICANON) != 0);
      EXPECT_EQ(write(ours_.number(), keys.data(), keys.size()),
                static_cast<ssize_t>(keys.size()));
    });
    LineEditor::Line line = editor_->Read("> ");
    typist.join();
    return line;
  }
  // What the editor has written.
  std::string Output() {
    std::string output;
    char buffer[4096];
    pollfd wait = {.fd = ours_.number(), .events = POLLIN, .revents = 0};
    while (poll(&wait, 1, 0) == 1) {
      const ssize_t count = read(ours_.number(), buffer, sizeof(buffer));
      if (count <= 0) break;
      output.append(buffer, static_cast<size_t>(count));
    }
    return output;
  }

  TerminalSignals signals_;
  HistoryFile history_{""};
  Descriptor ours_;
  FILE* terminal_ = nullptr;
  std::unique_ptr<LineEditor> editor_;
};

TEST_F(LineEditorTest, ReadsALine) {
  const LineEditor::Line line = Typed("Hello\r");
  EXPECT_EQ(line.kind, Kind::kText);
  EXPECT_EQ(line.text, "Hello");
  EXPECT_THAT(Output(), HasSubstr("> "));
}

TEST_F(LineEditorTest, KeysEditIt) {
  // Left, left, delete backwards; home; end.
  EXPECT_EQ(Typed("Hexllo\x1b[D\x1b[D\x1b[D\x7f\x1b[Hoh, \x1b[F!\r").text,
            "oh, Hello!");
  EXPECT_EQ(Typed("one two\x17three\r").text, "one three");  // Ctrl-W
}

TEST_F(LineEditorTest, CharactersAreThoseOfUtf8) {
  EXPECT_EQ(Typed("n\u00e4\u732bx\x7f\x7f\u00e9\r").text, "n\u00e4\u00e9");
  EXPECT_EQ(Typed("\U0001f600!\x1b[D\x1b[Da\r").text, "a\U0001f600!");
  // A Latin-1 terminal.
  EXPECT_EQ(Typed("a\xe4"
                  "b\r")
                .text,
            "a\uFFFDb");
}

TEST_F(LineEditorTest, HistoryIsAtTheArrows) {
  ASSERT_TRUE(history_.Add("first").ok());
  ASSERT_TRUE(history_.Add("of two\nlines").ok());
  EXPECT_EQ(Typed("\x1b[A\r").text, "of two\nlines");
  EXPECT_EQ(Typed("\x1b[A\x1b[A!\r").text, "first!");
  EXPECT_EQ(Typed("\x1b[A\x1b[A\x1b[B\r").text, "of two\nlines");
}

TEST_F(LineEditorTest, PastedLinesStayTogether) {
  EXPECT_EQ(Typed("a \x1b[200~one\rtwo\n\tthree\x1b[201~ b\r").text,
            "a one\ntwo\n\tthree b");
  EXPECT_EQ(Typed("\x1b[200~\x1b[201~c\r").text, "c");
  // Keys in it are none.
  EXPECT_EQ(Typed("\x1b[200~x\x01\x1b[Dy\x1b[201~\r").text, "x[Dy");
  EXPECT_THAT(Output(), HasSubstr("\x1b[?2004h"));
  Typed("d\r");
  EXPECT_THAT(Output(), HasSubstr("\x1b[?2004l"));
}

TEST_F(LineEditorTest, CtrlDEndsAnEmptyLineOnly) {
  EXPECT_EQ(Typed("a\x04"
                  "b\r")
                .text,
            "ab");
  EXPECT_EQ(Typed("\x04").kind, Kind::kEnd);
}

TEST_F(LineEditorTest, SignalsEndTheLine) {
  pthread_kill(pthread_self(), SIGINT);
  EXPECT_EQ(editor_->Read("> ").kind, Kind::kInterrupted);
  pthread_kill(pthread_self(), SIGTERM);
  EXPECT_EQ(editor_->Read("> ").kind, Kind::kTerminated);
  // The next line is as any other.
  EXPECT_EQ(Typed("Hello\r").text, "Hello");
}

TEST_F(LineEditorTest, ANewWidthDrawsTheLineAnew) {
  const winsize narrow = {
      .ws_row = 24, .ws_col = 20, .ws_xpixel = 0, .ws_ypixel = 0};
  ASSERT_EQ(ioctl(ours_.number(), TIOCSWINSZ, &narrow), 0);
  pthread_kill(pthread_self(), SIGWINCH);
  EXPECT_EQ(Typed("a line that is longer than the terminal is wide\r").text,
            "a line that is longer than the terminal is wide");
}

TEST_F(LineEditorTest, TheTerminalIsInItsModeBetweenLines) {
  termios before;
  termios after;
  ASSERT_EQ(tcgetattr(ours_.number(), &before), 0);
  Typed("Hello\r");
  ASSERT_EQ(tcgetattr(ours_.number(), &after), 0);
  EXPECT_EQ(before.c_lflag, after.c_lflag);
}

TEST_F(LineEditorTest, ATerminalThatIsGoneEndsTheChat) {
  ours_ = Descriptor();
  EXPECT_EQ(editor_->Read("> ").kind, Kind::kEnd);
}

}  // namespace
}  // namespace tandem::cli
