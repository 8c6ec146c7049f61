// A file that is written as a whole. It appears under its name when it is
// complete; until then, and after every error, what had the name is as it was
// and nothing else is left. Used by one thread.
//
// Only regular files are replaced, and new ones made: a device, FIFO, socket
// or directory is refused by what it is, since a rename would destroy it. Of a
// symbolic link the file that it names is replaced, and the link stays. The
// new file has the permissions of the old one, and its owner and group where
// this process may give a file to them; where the group can not be kept, the
// new one may do what everybody may.

#ifndef TANDEM_ENGINE_BASE_OUTPUT_FILE_H_
#define TANDEM_ENGINE_BASE_OUTPUT_FILE_H_

#include <sys/stat.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/status.h"

namespace tandem {

class OutputFile {
 public:
  // Begins a file beside the one that `path` names, in the same folder, so
  // that Commit is one rename. Errors: INVALID_ARGUMENT for a path that is no
  // regular file; of this and all that follow UNAVAILABLE with the system's
  // reason. Each names `path`.
  static absl::StatusOr<std::unique_ptr<OutputFile>> Create(
      const std::string& path);
  // Removes what was not committed.
  ~OutputFile();

  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  absl::Status Append(absl::Span<const uint8_t> bytes);
  absl::Status Append(absl::string_view text);
  // The bytes are on the disk and the file has its name. Once, at the end.
  absl::Status Commit();

 private:
  OutputFile(std::string path, std::string target);

  // Makes part_ a name of the file; false and errno where it can not.
  bool GiveName();
  // Opens the part; `replaced`: null where there is no such file yet.
  absl::Status Open(const struct stat* replaced);
  absl::Status Failed(int error) const;

  const std::string path_;    // as the caller named it
  const std::string target_;  // the file that gets replaced
  const std::string part_;    // what is written until then
  FILE* file_ = nullptr;
  bool is_named_ = false;  // part_ is there
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_BASE_OUTPUT_FILE_H_
