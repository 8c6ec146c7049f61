#include "tools/tandem/base/terminal_text.h"

#include "absl/strings/str_split.h"
#include "engine/base/utf8.h"

namespace tandem::cli {
namespace {

// `character` is one character in UTF-8.
bool IsHarmless(absl::string_view character) {
  const unsigned char first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) {
    return first == '\n' || first == '\t' || (first >= 0x20 && first != 0x7f);
  }
  // U+0080 to U+009F, which some terminals take for ESC and a letter.
  return first != 0xc2 || static_cast<unsigned char>(character[1]) >= 0xa0;
}

}  // namespace

std::string HarmlessText(absl::string_view text) {
  std::string harmless;
  harmless.reserve(text.size());
  while (!text.empty()) {
    const Utf8Prefix next = FirstUtf8(text);
    const absl::string_view bytes = text.substr(0, next.bytes);
    if (next.kind == Utf8Prefix::Kind::kCharacter && IsHarmless(bytes)) {
      harmless.append(bytes.data(), bytes.size());
    } else {
      harmless += kReplacementCharacter;
    }
    text.remove_prefix(next.bytes);
  }
  return harmless;
}

void PrintText(absl::string_view text, const Io& io) {
  if (io.out_is_terminal) {
    *io.out << HarmlessText(text) << std::flush;
  } else {
    *io.out << text << std::flush;
  }
}

void PrintStyled(absl::string_view text, absl::string_view style,
                 const Io& io) {
  // A background that is on at the end of a line would fill it.
  const char* newline = "";
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    *io.out << newline;
    if (!line.empty()) *io.out << style << HarmlessText(line) << kNoStyle;
    newline = "\n";
  }
  io.out->flush();
}

}  // namespace tandem::cli
