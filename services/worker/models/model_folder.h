// Where models that are named over the wire may lie. Pure functions of the
// file system; any thread.

#ifndef TANDEM_SERVICES_WORKER_MODELS_MODEL_FOLDER_H_
#define TANDEM_SERVICES_WORKER_MODELS_MODEL_FOLDER_H_

#include <string>

#include "engine/base/status.h"

namespace tandem {

// The path of the file `name`, which is relative to `folder` and lies inside of
// it, links followed. Errors: FAILED_PRECONDITION (`folder` is empty or not
// there), INVALID_ARGUMENT with INVALID_OPTIONS (`name` is empty, absolute, or
// leads outside), NOT_FOUND (no such file, or none that is regular). None says
// what lies outside of the folder.
absl::StatusOr<std::string> FindInModelFolder(const std::string& folder,
                                              const std::string& name);

// `status` for a client: each absolute path in its message is the name of the
// file alone, `path` above all, whatever it consists of.
absl::Status WithFileNames(const absl::Status& status, const std::string& path);

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_MODELS_MODEL_FOLDER_H_
