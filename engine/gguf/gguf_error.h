// Error messages about a GGUF file, in one shape for all that read one.

#ifndef TANDEM_ENGINE_GGUF_GGUF_ERROR_H_
#define TANDEM_ENGINE_GGUF_GGUF_ERROR_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"

namespace tandem {

// `text` in single quotes for an error message: bytes that are not printable
// ASCII escaped, long texts cut.
std::string QuoteForError(absl::string_view text);

// INVALID_ARGUMENT with MALFORMED_FILE: "NAME: offset N: SUBJECT: WHAT".
absl::Status GgufError(absl::string_view name, uint64_t offset,
                       absl::string_view subject, absl::string_view what);

}  // namespace tandem

#endif  // TANDEM_ENGINE_GGUF_GGUF_ERROR_H_
