// Recognises files that people take for GGUF files, by their first bytes, and
// says what to do with them. Pure; any thread.

#ifndef TANDEM_ENGINE_GGUF_FOREIGN_FORMAT_H_
#define TANDEM_ENGINE_GGUF_FOREIGN_FORMAT_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tandem {

// Bytes that are looked at; each format shows itself within these.
inline constexpr size_t kForeignHeadBytes = 1024;

// What a file that does not begin with "GGUF" is, and what helps: "is ...: ..."
// without the file's name. Empty where its bytes are of no format known here.
absl::string_view DescribeForeignFile(absl::Span<const uint8_t> bytes);

}  // namespace tandem

#endif  // TANDEM_ENGINE_GGUF_FOREIGN_FORMAT_H_
