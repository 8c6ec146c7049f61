#include "tools/tandem/up/runtime_folder.h"

#include <sys/un.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"

namespace tandem::cli {
namespace {

constexpr char kName[] = "/tandem-up-XXXXXX";  // mkdtemp's
// Of a name in the folder, its slash and the end of the text.
constexpr size_t kNameBytesMax = 32;

// Makes the folder in `parent`; empty and errno where it can not.
std::string MakeIn(const std::string& parent) {
  std::string path = parent + kName;
  if (path.size() + kNameBytesMax > sizeof(sockaddr_un::sun_path)) {
    errno = ENAMETOOLONG;
    return "";
  }
  return mkdtemp(path.data()) == nullptr ? "" : path;
}

}  // namespace

absl::StatusOr<std::unique_ptr<RuntimeFolder>> RuntimeFolder::Make() {
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  std::string path;
  if (runtime != nullptr && *runtime == '/') path = MakeIn(runtime);
  if (path.empty()) path = MakeIn("/tmp");
  if (path.empty()) {
    return absl::UnavailableError(absl::StrCat(
        "a folder for sockets can not be made in /tmp: ", strerror(errno),
        "; XDG_RUNTIME_DIR names another place"));
  }
  return std::unique_ptr<RuntimeFolder>(new RuntimeFolder(std::move(path)));
}

RuntimeFolder::~RuntimeFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string RuntimeFolder::PathOf(absl::string_view name) const {
  return absl::StrCat(path_, "/", name);
}

}  // namespace tandem::cli
