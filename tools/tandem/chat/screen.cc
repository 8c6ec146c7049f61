#include "tools/tandem/chat/screen.h"

#include <utility>
#include <vector>

#include "services/client/joined_reply.h"
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
  const v1::ReplyDelta parts = client::PartsOf(event);
  WriteThought(parts.reasoning());
  // Marks are no part of the answer, so the rounds say nothing of it.
  if (parts.content() != event.text()) return WriteAnswer(parts.content(), "");
  const absl::string_view style = colour_ == Colour::kYes ? StyleOf(shade) : "";
  if (style.empty()) return WriteAnswer(event.text(), "");
  for (const ShadedSpan& span : ShadedSpans(event)) {
    WriteAnswer(span.text, span.is_drafted ? style : "");
    is_shaded_ = is_shaded_ || span.is_drafted;
  }
}

void Screen::Reply(const v1::TurnEnded& event) {
  const v1::ReplyDelta parts = client::PartsOf(event);
  WriteThought(parts.reasoning());
  WriteAnswer(parts.content(), "");
}

void Screen::WriteThought(absl::string_view text) {
  if (text.empty() || !io_.out_is_terminal) return;
  const absl::string_view style = colour_ == Colour::kYes ? kDim : "";
  if (!std::exchange(is_thinking_, true)) Write("thinking: ", style);
  Write(text, style);
}

void Screen::WriteAnswer(absl::string_view text, absl::string_view style) {
  if (!text.empty() && std::exchange(is_thinking_, false)) {
    EndReply();
    Write("\n", "");
  }
  Write(text, style);
}

void Screen::EndReply() {
  is_thinking_ = false;
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
