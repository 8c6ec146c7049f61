// What commands know of the terminal and show on it: whether there is one, its
// width, whether colour may be used, and a line that is renewed in place.
// Functions read the system and the environment; any thread. Progress goes to
// standard error, and to a terminal only.

#ifndef TANDEM_TOOLS_TANDEM_BASE_TERMINAL_H_
#define TANDEM_TOOLS_TANDEM_BASE_TERMINAL_H_

#include <ostream>
#include <string>

#include "absl/strings/string_view.h"

namespace tandem::cli {

// The size where that of the terminal is not known.
inline constexpr int kColumnsDefault = 80;
inline constexpr int kRowsDefault = 24;

// Whether somebody reads what is written to `descriptor` as it comes.
bool IsTerminal(int descriptor);
// Whether escape sequences move the cursor of a terminal: not with TERM=dumb.
bool MovesCursor();
// Whether what is written to `descriptor` may have colour: it is a terminal,
// NO_COLOR is not set (or is empty), and TERM is not "dumb".
bool MayColour(int descriptor);
struct ScreenSize {
  int columns = 0;
  int rows = 0;
};
// Of the terminal at `descriptor`; the default where it is none.
ScreenSize TerminalSize(int descriptor);
int TerminalColumns(int descriptor);

// Columns that `text`, UTF-8 in one line without escape sequences, takes on a
// terminal. A byte that is not UTF-8 and a control character take one.
int DisplayColumns(absl::string_view text);
// The longest beginning of `text` that takes at most `columns`; never part of a
// character.
absl::string_view CutToColumns(absl::string_view text, int columns);

// "WHAT [######........] 40%", for a part from 0 to 1.
std::string ProgressBar(absl::string_view what, double part);

// A line on a terminal that the next one takes the place of. One thread.
class StatusLine {
 public:
  // `terminal` is standard error's.
  explicit StatusLine(std::ostream* terminal) : out_(terminal) {}
  ~StatusLine() { Clear(); }
  // The first line of `text`, cut to the terminal's width: a line that went on
  // below could not be renewed. Nothing is written where the cursor can not be
  // moved, or where the line stands there already.
  void Show(const std::string& text);
  // Takes away what is shown.
  void Clear();

 private:
  std::ostream* const out_;
  bool is_shown_ = false;
  std::string shown_;
};

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_BASE_TERMINAL_H_
