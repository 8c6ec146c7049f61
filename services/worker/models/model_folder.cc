#include "services/worker/models/model_folder.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;

bool IsInside(const fs::path& folder, const fs::path& path) {
  const auto [rest, unused] =
      std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return rest == folder.end();
}

}  // namespace

absl::StatusOr<std::string> FindInModelFolder(const std::string& folder,
                                              const std::string& name) {
  if (folder.empty()) {
    return absl::FailedPreconditionError(
        "the worker has no --model-folder: it loads no models by name");
  }
  const fs::path relative(name);
  if (name.empty() || name.find('\0') != std::string::npos ||
      relative.is_absolute()) {
    return InvalidField("path", "must be relative to the model folder");
  }
  // Before anything is looked up, so that the answer does not show what lies
  // outside.
  for (const fs::path& part : relative) {
    if (part == "..") {
      return InvalidField("path", "must not lead out of the model folder");
    }
  }
  std::error_code error;
  const fs::path root = fs::canonical(folder, error);
  if (error) {
    return absl::FailedPreconditionError(
        "the worker's --model-folder can not be opened");
  }
  const auto missing = [&name] {
    return absl::NotFoundError(
        absl::StrCat("no file ", name, " in the model folder"));
  };
  const fs::path path = fs::canonical(root / relative, error);
  if (error) return missing();
  if (!IsInside(root, path)) {
    return InvalidField("path", "must not lead out of the model folder");
  }
  if (!fs::is_regular_file(path, error)) return missing();
  return path.string();
}

}  // namespace tandem
