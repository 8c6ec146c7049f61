#include "tools/tandem/turns/batch_input.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "tools/tandem/base/command.h"

namespace tandem::cli {

absl::StatusOr<BatchInput> BatchInput::Open(const std::string& path) {
  std::error_code ignored;
  // It is read twice.
  if (std::filesystem::exists(path, ignored) &&
      !std::filesystem::is_regular_file(path, ignored)) {
    return UsageError(absl::StrCat(path, " is no regular file"));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return UsageError(
        absl::StrCat(path, ": cannot read it: ", std::strerror(errno)));
  }
  return BatchInput(std::move(file));
}

bool BatchInput::Next(std::string* line) {
  if (!std::getline(file_, *line)) return false;
  ++lines_;
  return true;
}

}  // namespace tandem::cli
