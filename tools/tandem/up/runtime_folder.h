// The private folder of a run: sockets, the file of --compute-turn, addresses.
// A value of the command that runs; any thread.

#ifndef TANDEM_TOOLS_TANDEM_UP_RUNTIME_FOLDER_H_
#define TANDEM_TOOLS_TANDEM_UP_RUNTIME_FOLDER_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tandem::cli {

class RuntimeFolder {
 public:
  // A new folder, which the user alone may enter, in $XDG_RUNTIME_DIR, or in
  // /tmp where that is not set, can not be written or is too long for the name
  // of a socket. Errors: UNAVAILABLE in the system's words.
  static absl::StatusOr<std::unique_ptr<RuntimeFolder>> Make();
  // Removes it with all that is in it.
  ~RuntimeFolder();

  RuntimeFolder(const RuntimeFolder&) = delete;
  RuntimeFolder& operator=(const RuntimeFolder&) = delete;

  std::string PathOf(absl::string_view name) const;

 private:
  explicit RuntimeFolder(std::string path) : path_(std::move(path)) {}

  const std::string path_;
};

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_UP_RUNTIME_FOLDER_H_
