#include "tools/tandem/base/terminal.h"

#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <sstream>
#include <string>

#include "engine/base/descriptor.h"
#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

// A variable of the environment for as long as this stands.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const char* value) : name_(name) {
    if (const char* before = getenv(name)) before_ = before;
    if (value == nullptr) {
      unsetenv(name);
    } else {
      setenv(name, value, /*overwrite=*/1);
    }
  }
  ~ScopedVariable() {
    if (before_.empty()) {
      unsetenv(name_);
    } else {
      setenv(name_, before_.c_str(), /*overwrite=*/1);
    }
  }

 private:
  const char* const name_;
  std::string before_;
};

// A terminal of its own, 40 columns wide.
class TerminalTest : public ::testing::Test {
 protected:
  TerminalTest() {
    winsize size = {.ws_row = 10, .ws_col = 40, .ws_xpixel = 0, .ws_ypixel = 0};
    int ours = -1;
    int theirs = -1;
    if (openpty(&ours, &theirs, nullptr, nullptr, &size) != 0) return;
    ours_ = Descriptor(ours);
    theirs_ = Descriptor(theirs);
  }

  void SetUp() override { ASSERT_TRUE(theirs_.is_open()); }

  int descriptor() const { return theirs_.number(); }

  const ScopedVariable term_{"TERM", "xterm"};
  const ScopedVariable no_color_{"NO_COLOR", nullptr};
  Descriptor ours_;
  Descriptor theirs_;
};

TEST_F(TerminalTest, ColourIsForTerminalsThatWantIt) {
  EXPECT_TRUE(IsTerminal(descriptor()));
  EXPECT_TRUE(MayColour(descriptor()));
  {
    const ScopedVariable set("NO_COLOR", "1");
    EXPECT_FALSE(MayColour(descriptor()));
  }
  {
    const ScopedVariable empty("NO_COLOR", "");
    EXPECT_TRUE(MayColour(descriptor()));
  }
  const ScopedVariable dumb("TERM", "dumb");
  EXPECT_FALSE(MayColour(descriptor()));
  EXPECT_FALSE(MovesCursor());
}

TEST_F(TerminalTest, WidthIsTheTerminals) {
  EXPECT_EQ(TerminalColumns(descriptor()), 40);
}

TEST_F(TerminalTest, APipeIsNone) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const Descriptor read_end(ends[0]);
  const Descriptor write_end(ends[1]);
  EXPECT_FALSE(IsTerminal(write_end.number()));
  EXPECT_FALSE(MayColour(write_end.number()));
  EXPECT_EQ(TerminalColumns(write_end.number()), kColumnsDefault);
}

TEST_F(TerminalTest, AStatusLineIsTakenAway) {
  std::ostringstream out;
  {
    StatusLine line(&out);
    line.Clear();
    line.Show("ab");
    line.Show("c\nd");
    line.Show("c");  // stands there
  }
  EXPECT_EQ(out.str(), "\rab\x1b[K\rc\x1b[K\r\x1b[K");
}

TEST_F(TerminalTest, ADumbTerminalHasNoStatusLine) {
  const ScopedVariable dumb("TERM", "dumb");
  std::ostringstream out;
  StatusLine(&out).Show("ab");
  EXPECT_EQ(out.str(), "");
}

TEST(TextWidthTest, ColumnsAreThoseOfCharacters) {
  EXPECT_EQ(DisplayColumns(""), 0);
  EXPECT_EQ(DisplayColumns("abc"), 3);
  EXPECT_EQ(DisplayColumns("\u00e4"), 1);         // one column, two bytes
  EXPECT_EQ(DisplayColumns("e\u0301"), 1);        // a combining accent
  EXPECT_EQ(DisplayColumns("\u732b"), 2);         // a wide character
  EXPECT_EQ(DisplayColumns("a\xff\x1b\x7f"), 4);  // what is none
}

TEST(TextWidthTest, CutsBetweenCharacters) {
  EXPECT_EQ(CutToColumns("abc", 5), "abc");
  EXPECT_EQ(CutToColumns("abc", 2), "ab");
  EXPECT_EQ(CutToColumns("abc", 0), "");
  EXPECT_EQ(CutToColumns("a\u732bb", 2), "a");
  EXPECT_EQ(CutToColumns("a\u732bb", 3), "a\u732b");
  EXPECT_EQ(CutToColumns("e\u0301x", 1), "e\u0301");
}

TEST(ProgressBarTest, IsThirtyWide) {
  EXPECT_EQ(ProgressBar("a", 0), "a [..............................] 0%");
  EXPECT_EQ(ProgressBar("a", 0.5), "a [###############...............] 50%");
  EXPECT_EQ(ProgressBar("a", 2), "a [##############################] 100%");
}

}  // namespace
}  // namespace tandem::cli
