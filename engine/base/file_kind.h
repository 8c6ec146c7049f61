// What a path names, in words for error messages. Pure; any thread.

#ifndef TANDEM_ENGINE_BASE_FILE_KIND_H_
#define TANDEM_ENGINE_BASE_FILE_KIND_H_

#include <sys/stat.h>

#include "absl/strings/string_view.h"

namespace tandem {

// Of stat's st_mode: "a directory", "a device", "a FIFO", "a socket", "a
// symbolic link" or "a regular file".
absl::string_view FileKindName(mode_t mode);

}  // namespace tandem

#endif  // TANDEM_ENGINE_BASE_FILE_KIND_H_
