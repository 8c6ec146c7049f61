#include "services/worker/compute_turn.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"

namespace tandem {
namespace {

// Offsets of the locked bytes; the file itself stays empty.
constexpr off_t kGate = 0;
constexpr off_t kRoom = 1;

// The users of one host share the file; the umask has the last word.
constexpr mode_t kFileMode = 0660;

// Returns 0 or errno.
int SetLock(int fd, off_t offset, short type) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = offset;
  lock.l_len = 1;
  while (fcntl(fd, F_OFD_SETLKW, &lock) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

absl::Status LockError(int error) {
  return absl::InternalError(
      absl::StrCat("the compute turn can not be taken: ", strerror(error)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<ComputeTurn>> ComputeTurn::Open(
    const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kFileMode);
  if (fd < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--compute-turn ", path, ": ", strerror(errno),
                     "; name a file that can be written"));
  }
  return std::unique_ptr<ComputeTurn>(new ComputeTurn(fd));
}

ComputeTurn::~ComputeTurn() { close(fd_); }

absl::Status ComputeTurn::Acquire() {
  if (const int error = SetLock(fd_, kGate, F_WRLCK); error != 0) {
    return LockError(error);
  }
  const int error = SetLock(fd_, kRoom, F_WRLCK);
  TANDEM_CHECK(SetLock(fd_, kGate, F_UNLCK) == 0);
  return error == 0 ? absl::OkStatus() : LockError(error);
}

void ComputeTurn::Release() { TANDEM_CHECK(SetLock(fd_, kRoom, F_UNLCK) == 0); }

}  // namespace tandem
