#include "tools/tandem/up/state_home.h"

#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"

namespace tandem::cli {
namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

std::string StatePath(absl::string_view name) {
  const std::string state = Variable("XDG_STATE_HOME");
  if (!state.empty()) return absl::StrCat(state, "/tandem/", name);
  const std::string home = Variable("HOME");
  if (home.empty()) return "";
  return absl::StrCat(home, "/.local/state/tandem/", name);
}

std::error_code MakePrivateFolder(const std::string& path) {
  std::error_code error;
  if (path.empty() || std::filesystem::is_directory(path, error)) return {};
  const mode_t before = umask(077);
  std::filesystem::create_directories(path, error);
  umask(before);
  return error;
}

}  // namespace tandem::cli
