// The folder of a store in files: made if it is not there, closed to others,
// and one process' alone while this lives. Owned by who has files in it.

#ifndef TANDEM_SERVICES_COORDINATOR_STORE_STATE_FOLDER_H_
#define TANDEM_SERVICES_COORDINATOR_STORE_STATE_FOLDER_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "engine/base/descriptor.h"

namespace tandem {

class StateFolder {
 public:
  // Errors name the folder: INVALID_ARGUMENT where it can not be made, entered
  // or written, or others may enter it; FAILED_PRECONDITION where another
  // process has it.
  static absl::StatusOr<StateFolder> Open(const std::string& path);

  // The folder is there, whatever is in it: a process that limits itself to
  // its folders makes them first. False: errno says why.
  static bool Make(const std::string& path);

  const std::string& path() const { return path_; }

 private:
  StateFolder(std::string path, Descriptor lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  Descriptor lock_;  // of its file `lock`
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_STORE_STATE_FOLDER_H_
