#include "services/common/sandbox/file_access.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "engine/base/descriptor.h"
#include "services/common/address.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;

// Version 3; the headers of Debian 12 are those of version 2.
constexpr uint64_t kTruncate = uint64_t{1} << 14;
// All rights of version 1: execute to make a symbolic link.
constexpr uint64_t kFirstRights = (uint64_t{1} << 13) - 1;

constexpr uint64_t kRead =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr uint64_t kWrite =
    kRead | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |
    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |
    LANDLOCK_ACCESS_FS_REFER | kTruncate;
// The rights that a rule about a file may give.
constexpr uint64_t kOfFiles =
    LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | kTruncate;

// What the kernel's version restricts. Before version 2 a file could not go to
// another folder at all.
uint64_t RightsOf(int version) {
  uint64_t rights = kFirstRights;
  if (version >= 2) rights |= LANDLOCK_ACCESS_FS_REFER;
  if (version >= 3) rights |= kTruncate;
  return rights;
}

absl::Status SystemError(absl::string_view what) {
  return absl::UnavailableError(absl::StrCat(what, ": ", strerror(errno)));
}

absl::Status AddRule(const Descriptor& rules, const std::string& path,
                     uint64_t rights) {
  const Descriptor place(open(path.c_str(), O_PATH | O_CLOEXEC));
  struct stat info;
  if (!place.is_open() || fstat(place.number(), &info) != 0) {
    return absl::OkStatus();
  }
  if (!S_ISDIR(info.st_mode)) rights &= kOfFiles;
  const landlock_path_beneath_attr rule = {.allowed_access = rights,
                                           .parent_fd = place.number()};
  if (syscall(SYS_landlock_add_rule, rules.number(), LANDLOCK_RULE_PATH_BENEATH,
              &rule, 0) != 0) {
    return SystemError(path);
  }
  return absl::OkStatus();
}

void AddBeside(const std::string& path, std::vector<std::string>* folders) {
  if (path.empty()) return;
  const auto add_folder = [folders](const fs::path& file) {
    const fs::path folder = file.parent_path();
    folders->push_back(folder.empty() ? "." : folder.string());
  };
  add_folder(path);
  std::error_code error;
  const fs::path target = fs::canonical(path, error);
  if (!error) add_folder(target);
}

}  // namespace

void FileAccess::ReadBeside(const std::string& path) { AddBeside(path, &read); }

void FileAccess::WriteBeside(const std::string& path) {
  AddBeside(path, &write);
}

void FileAccess::ListenAt(const std::string& address) {
  WriteBeside(ParseUnixPath(address).value_or(""));
}

absl::Status LimitFileAccess(const FileAccess& access) {
  const long version = syscall(SYS_landlock_create_ruleset, nullptr, size_t{0},
                               LANDLOCK_CREATE_RULESET_VERSION);
  if (version < 1) {
    return absl::UnimplementedError(
        absl::StrCat("no Landlock here: ", strerror(errno)));
  }
  const landlock_ruleset_attr restricted = {
      .handled_access_fs = RightsOf(static_cast<int>(version))};
  const Descriptor rules(static_cast<int>(syscall(
      SYS_landlock_create_ruleset, &restricted, sizeof(restricted), 0)));
  if (!rules.is_open()) return SystemError("Landlock");
  for (const std::string& path : access.read) {
    TANDEM_RETURN_IF_ERROR(
        AddRule(rules, path, kRead & restricted.handled_access_fs));
  }
  for (const std::string& path : access.write) {
    TANDEM_RETURN_IF_ERROR(
        AddRule(rules, path, kWrite & restricted.handled_access_fs));
  }
  if (syscall(SYS_landlock_restrict_self, rules.number(), 0) != 0) {
    return SystemError("Landlock");
  }
  return absl::OkStatus();
}

}  // namespace tandem
