#include "tools/tandem/chat/screen.h"

#include <utility>
#include <vector>

#include "tools/tandem/base/terminal_text.h"
#include "tools/tandem/chat/shading.h"

namespace tandem::cli {
namespace {

// White on dark blue of the 256 colours: to be read on dark and light screens.
constexpr char kBackground[] = "\x1b[97;48;5;24m";

absl::string_view StyleOf(Shade shade) {
  switch (shade) {
    case Shade::kOff:
      return "";
    case Shade::kDim:
      return kDim;
    case Shade::kBackground:
      return kBackground;
  }
  return "";
}

}  // namespace

void Screen::Write(absl::string_view text, absl::string_view style) {
  if (text.empty()) return;
  is_line_open_ = text.back() != '\n';
  if (style.empty()) return PrintText(text, io_);
  PrintStyled(text, style, io_);
}

void Screen::Reply(const v1::TokensGenerated& event, Shade shade) {
  const absl::string_view style = colour_ == Colour::kYes ? StyleOf(shade) : "";
  if (style.empty()) return Write(event.text(), "");
  for (const ShadedSpan& span : ShadedSpans(event)) {
    Write(span.text, span.is_drafted ? style : "");
    is_shaded_ = is_shaded_ || span.is_drafted;
  }
}

void Screen::EndReply() {
  if (std::exchange(is_line_open_, false)) *io_.out << "\n" << std::flush;
}

bool Screen::TakeShaded() { return std::exchange(is_shaded_, false); }

void Screen::Note(absl::string_view line) {
  if (!io_.out_is_terminal) return;
  EndReply();
  Write(line, colour_ == Colour::kYes ? kDim : "");
  EndReply();
}

void Screen::Print(absl::string_view lines) {
  EndReply();
  PrintText(lines, io_);
}

void Screen::Error(const absl::Status& error) {
  EndReply();
  *io_.err << "tandem: " << OneLine(error) << "\n" << std::flush;
}

}  // namespace tandem::cli
