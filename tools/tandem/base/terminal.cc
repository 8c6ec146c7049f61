#include "tools/tandem/base/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tandem::cli {
namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

struct Character {
  size_t bytes = 1;
  int columns = 1;
};

// The first one of `text`, which is not empty.
Character FirstCharacter(absl::string_view text) {
  utf8proc_int32_t code = 0;
  const utf8proc_ssize_t bytes =
      utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                       static_cast<utf8proc_ssize_t>(text.size()), &code);
  if (bytes <= 0) return {};
  const bool is_control = code < 0x20 || (code >= 0x7f && code < 0xa0);
  return {.bytes = static_cast<size_t>(bytes),
          .columns = is_control ? 1 : utf8proc_charwidth(code)};
}

}  // namespace

bool IsTerminal(int descriptor) { return isatty(descriptor) == 1; }

bool MovesCursor() { return Variable("TERM") != "dumb"; }

bool MayColour(int descriptor) {
  return IsTerminal(descriptor) && MovesCursor() &&
         Variable("NO_COLOR").empty();
}

ScreenSize TerminalSize(int descriptor) {
  winsize size = {};  // as where the terminal does not say
  if (ioctl(descriptor, TIOCGWINSZ, &size) != 0) size = {};
  return {.columns = size.ws_col > 0 ? size.ws_col : kColumnsDefault,
          .rows = size.ws_row > 0 ? size.ws_row : kRowsDefault};
}

int TerminalColumns(int descriptor) { return TerminalSize(descriptor).columns; }

int DisplayColumns(absl::string_view text) {
  int columns = 0;
  while (!text.empty()) {
    const Character first = FirstCharacter(text);
    columns += first.columns;
    text.remove_prefix(first.bytes);
  }
  return columns;
}

absl::string_view CutToColumns(absl::string_view text, int columns) {
  size_t end = 0;
  while (end < text.size()) {
    const Character next = FirstCharacter(text.substr(end));
    columns -= next.columns;
    if (columns < 0) break;
    end += next.bytes;
  }
  return text.substr(0, end);
}

std::string ProgressBar(absl::string_view what, double part) {
  constexpr int kWidth = 30;
  const double inside = std::clamp(part, 0.0, 1.0);
  const int full = static_cast<int>(inside * kWidth);
  return absl::StrCat(what, " [", std::string(full, '#'),
                      std::string(kWidth - full, '.'), "] ",
                      static_cast<int>(inside * 100), "%");
}

void StatusLine::Show(const std::string& text) {
  if (!MovesCursor()) return;
  const absl::string_view first =
      absl::string_view(text).substr(0, text.find('\n'));
  // The last column stays free: some terminals go on below once it is full.
  const std::string line(
      CutToColumns(first, TerminalColumns(STDERR_FILENO) - 1));
  if (std::exchange(is_shown_, true) && line == shown_) return;
  *out_ << "\r" << line << "\x1b[K" << std::flush;
  shown_ = line;
}

void StatusLine::Clear() {
  if (std::exchange(is_shown_, false)) *out_ << "\r\x1b[K" << std::flush;
}

}  // namespace tandem::cli
