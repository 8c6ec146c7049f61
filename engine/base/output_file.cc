#include "engine/base/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/file_kind.h"

namespace tandem {
namespace {

constexpr mode_t kNewFileMode = 0666;  // less the umask
constexpr mode_t kPrivateMode = 0600;  // until it has the old file's
constexpr mode_t kPermissionBits = 0777;
constexpr mode_t kGroupBits = 070;
constexpr mode_t kEverybodyBits = 007;

absl::Status Refused(const std::string& path, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": is ", what, "; name a regular file or a new one"));
}

absl::Status CannotWrite(const std::string& path, int error) {
  return absl::UnavailableError(
      absl::StrCat(path, ": cannot be written: ", strerror(error)));
}

struct Target {
  std::string path;
  std::optional<struct stat> replaced = {};  // absent: no such file yet
};

// Gives the file what the one that it replaces had. Errors do no harm: it then
// belongs to this process's user, and to a group that may not do more than
// everybody.
void TakeOver(int file, const struct stat& replaced) {
  mode_t mode = replaced.st_mode & kPermissionBits;
  const uid_t same_user = static_cast<uid_t>(-1);
  const bool has_group = fchown(file, replaced.st_uid, replaced.st_gid) == 0 ||
                         fchown(file, same_user, replaced.st_gid) == 0;
  if (!has_group) {
    mode = (mode & ~kGroupBits) | ((mode & kEverybodyBits) << 3 & mode);
  }
  (void)fchmod(file, mode);
}

// Keeps two files of this process apart that replace the same one.
int NextNumber() {
  static std::atomic<int> number{0};
  return number.fetch_add(1, std::memory_order_relaxed);
}

// The file that writing to `path` replaces.
absl::StatusOr<Target> FindTarget(const std::string& path) {
  struct stat info;
  if (lstat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return Target{.path = path};
    return CannotWrite(path, errno);
  }
  Target target{.path = path};
  if (S_ISLNK(info.st_mode)) {
    char* const resolved = realpath(path.c_str(), nullptr);
    if (resolved == nullptr) {
      return Refused(path, absl::StrCat("a symbolic link that leads nowhere (",
                                        strerror(errno), ")"));
    }
    target.path = resolved;
    free(resolved);
    if (stat(target.path.c_str(), &info) != 0) return CannotWrite(path, errno);
  }
  if (!S_ISREG(info.st_mode)) return Refused(path, FileKindName(info.st_mode));
  // A rename would replace a file that its owner has protected.
  if (access(target.path.c_str(), W_OK) != 0) return CannotWrite(path, errno);
  target.replaced = info;
  return target;
}

}  // namespace

absl::StatusOr<std::unique_ptr<OutputFile>> OutputFile::Create(
    const std::string& path) {
  TANDEM_ASSIGN_OR_RETURN(Target target, FindTarget(path));
  std::unique_ptr<OutputFile> file(
      new OutputFile(path, std::move(target.path)));
  TANDEM_RETURN_IF_ERROR(
      file->Open(target.replaced.has_value() ? &*target.replaced : nullptr));
  return file;
}

// The process id keeps two programs apart that write the same file, the number
// two threads of one.
OutputFile::OutputFile(std::string path, std::string target)
    : path_(std::move(path)),
      target_(std::move(target)),
      part_(absl::StrCat(target_, ".", getpid(), "-", NextNumber(), ".part")) {}

absl::Status OutputFile::Open(const struct stat* replaced) {
  const mode_t mode = replaced == nullptr ? kNewFileMode : kPrivateMode;
  const size_t slash = target_.rfind('/');
  const std::string folder =
      slash == std::string::npos ? "." : target_.substr(0, slash + 1);
  // A file without a name goes with its process, however that ends.
  int descriptor = open(folder.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, mode);
  is_named_ = descriptor < 0;
  if (is_named_) {  // the file system may have no such files
    // Left by a process that was killed and had the same id.
    (void)unlink(part_.c_str());
    descriptor =
        open(part_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  }
  if (descriptor < 0) return Failed(errno);
  if (replaced != nullptr) TakeOver(descriptor, *replaced);
  file_ = fdopen(descriptor, "wb");
  if (file_ != nullptr) return absl::OkStatus();
  const int error = errno;
  (void)close(descriptor);
  if (is_named_) (void)unlink(part_.c_str());
  return Failed(error);
}

OutputFile::~OutputFile() {
  if (file_ == nullptr) return;
  (void)fclose(file_);
  if (is_named_) (void)unlink(part_.c_str());
}

bool OutputFile::GiveName() {
  (void)unlink(part_.c_str());  // of a process that was killed just here
  return linkat(AT_FDCWD, absl::StrCat("/proc/self/fd/", fileno(file_)).c_str(),
                AT_FDCWD, part_.c_str(), AT_SYMLINK_FOLLOW) == 0;
}

absl::Status OutputFile::Append(absl::Span<const uint8_t> bytes) {
  if (fwrite(bytes.data(), 1, bytes.size(), file_) == bytes.size()) {
    return absl::OkStatus();
  }
  return Failed(errno);
}

absl::Status OutputFile::Append(absl::string_view text) {
  return Append(absl::MakeConstSpan(
      reinterpret_cast<const uint8_t*>(text.data()), text.size()));
}

absl::Status OutputFile::Commit() {
  // On the disk before it has the name: a machine that loses its power then
  // has the old file or the new one, not an empty one.
  const bool written = fflush(file_) == 0 && fsync(fileno(file_)) == 0 &&
                       (is_named_ || GiveName());
  int error = errno;
  const bool closed = fclose(std::exchange(file_, nullptr)) == 0;
  if (written && !closed) error = errno;
  if (written && closed) {
    if (rename(part_.c_str(), target_.c_str()) == 0) return absl::OkStatus();
    error = errno;
  }
  (void)unlink(part_.c_str());
  return Failed(error);
}

absl::Status OutputFile::Failed(int error) const {
  return CannotWrite(path_, error);
}

}  // namespace tandem
