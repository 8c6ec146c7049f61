#include "services/coordinator/store/state_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/file_kind.h"

namespace tandem {
namespace {

constexpr mode_t kOwnFolder = 0700;
constexpr mode_t kOwnFile = 0600;
constexpr mode_t kOthers = 0077;

absl::Status Wrong(const std::string& path, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": ", what));
}

}  // namespace

bool StateFolder::Make(const std::string& path) {
  return mkdir(path.c_str(), kOwnFolder) == 0 || errno == EEXIST;
}

absl::StatusOr<StateFolder> StateFolder::Open(const std::string& path) {
  if (!Make(path)) {
    return Wrong(path, absl::StrCat("can not be made (", strerror(errno),
                                    "); name a folder that this user may "
                                    "make, in one that is there"));
  }
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    return Wrong(path, absl::StrCat("can not be read (", strerror(errno), ")"));
  }
  if (!S_ISDIR(info.st_mode)) {
    return Wrong(path, absl::StrCat("is ", FileKindName(info.st_mode),
                                    "; name a folder"));
  }
  if ((info.st_mode & kOthers) != 0) {
    return Wrong(path, absl::StrFormat("others may enter it (mode %o); run: "
                                       "chmod 700 %s",
                                       info.st_mode & 0777, path));
  }
  const std::string lock_path = absl::StrCat(path, "/lock");
  Descriptor lock(open(lock_path.c_str(),
                       O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
                       kOwnFile));
  if (!lock.is_open()) {
    return Wrong(path,
                 absl::StrCat("files can not be made in it (", strerror(errno),
                              "); give it to the user that runs this"));
  }
  if (flock(lock.number(), LOCK_EX | LOCK_NB) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(path,
                     ": another process uses it; end that one, or name "
                     "another folder"));
  }
  return StateFolder(path, std::move(lock));
}

}  // namespace tandem
