// Text that a command is given: as an argument, in a file or on standard input.

#ifndef TANDEM_TOOLS_TANDEM_BASE_TEXT_INPUT_H_
#define TANDEM_TOOLS_TANDEM_BASE_TEXT_INPUT_H_

#include <cstddef>
#include <istream>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tools/tandem/base/command.h"

namespace tandem::cli {

// More is refused: no coordinator takes a message as large as this.
inline constexpr size_t kInputBytesMax = size_t{64} << 20;

struct TextSource {
  std::optional<std::string> argument = {};  // "-" stands for standard input
  std::string file = {};                     // used where not empty
};

struct TextNames {
  std::string what;       // of the text, in errors
  std::string file_flag;  // of TextSource.file; "" for none
};

// All of `in`, which errors call `name`.
absl::StatusOr<std::string> ReadAll(std::istream* in, absl::string_view name);

// The text, byte for byte. Without argument and file, standard input is read,
// unless it is a terminal: nobody would know what it waits for.
absl::StatusOr<std::string> ReadText(const TextSource& source,
                                     const TextNames& names, const Io& io);

// A usage error that names the first byte of `text` that is not UTF-8: a
// request can not carry it.
absl::Status CheckUtf8(absl::string_view text, absl::string_view what);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_BASE_TEXT_INPUT_H_
