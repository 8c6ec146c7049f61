// Text that came from a model or over the network, made harmless for a
// terminal: an escape sequence in it would set the window's title, move the
// cursor over what stands there, or make the terminal answer as if the user had
// typed. HarmlessText is pure; any thread.

#ifndef TANDEM_TOOLS_TANDEM_BASE_TERMINAL_TEXT_H_
#define TANDEM_TOOLS_TANDEM_BASE_TERMINAL_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"
#include "tools/tandem/base/command.h"

namespace tandem::cli {

// `text` with U+FFFD in place of each control character (C0 but for newline and
// tab, DEL, C1) and of bytes that are not UTF-8. Texts of whole characters may
// come in pieces.
std::string HarmlessText(absl::string_view text);

// Writes `text` to standard output, at once: byte for byte, and harmless where
// that is a terminal.
void PrintText(absl::string_view text, const Io& io);

// Escape sequences that are styles.
inline constexpr char kDim[] = "\x1b[2m";
inline constexpr char kNoStyle[] = "\x1b[0m";

// The same of a terminal that has styles, in `style`.
void PrintStyled(absl::string_view text, absl::string_view style, const Io& io);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_BASE_TERMINAL_TEXT_H_
