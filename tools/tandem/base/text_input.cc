#include "tools/tandem/base/text_input.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "engine/base/utf8.h"

namespace tandem::cli {

absl::StatusOr<std::string> ReadAll(std::istream* in, absl::string_view name) {
  std::string text;
  char buffer[1 << 16];
  while (in->read(buffer, sizeof(buffer)) || in->gcount() > 0) {
    text.append(buffer, static_cast<size_t>(in->gcount()));
    if (text.size() > kInputBytesMax) {
      return UsageError(absl::StrCat(name, " has more than ", kInputBytesMax,
                                     " bytes: give a shorter text"));
    }
  }
  if (in->bad()) {
    return UsageError(
        absl::StrCat("cannot read ", name, ": ", std::strerror(errno)));
  }
  return text;
}

absl::StatusOr<std::string> ReadText(const TextSource& source,
                                     const TextNames& names, const Io& io) {
  const bool from_file = !source.file.empty();
  if (source.argument && from_file) {
    return UsageError(absl::StrCat("give the ", names.what,
                                   " as an argument or by ", names.file_flag,
                                   ", not both"));
  }
  if (from_file && source.file != "-") {
    std::ifstream file(source.file, std::ios::binary);
    if (!file) {
      return UsageError(
          absl::StrCat(names.file_flag, " ", source.file,
                       ": cannot read it: ", std::strerror(errno)));
    }
    return ReadAll(&file, source.file);
  }
  if (source.argument && *source.argument != "-") return *source.argument;
  const bool asked_for = source.argument || from_file;
  if (!asked_for && io.in == &std::cin && isatty(STDIN_FILENO)) {
    return UsageError(absl::StrCat("no ", names.what,
                                   ": give it as an argument, or \"-\" to type "
                                   "it"));
  }
  return ReadAll(io.in, "standard input");
}

absl::Status CheckUtf8(absl::string_view text, absl::string_view what) {
  size_t at = 0;
  while (at < text.size()) {
    const Utf8Prefix next = FirstUtf8(text.substr(at));
    if (next.kind != Utf8Prefix::Kind::kCharacter) {
      return UsageError(absl::StrCat("the ", what, " is not UTF-8 at byte ", at,
                                     ": convert it first, e.g. with iconv"));
    }
    at += next.bytes;
  }
  return absl::OkStatus();
}

}  // namespace tandem::cli
