#include "services/worker/schedule/compute_turn.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/check.h"

namespace tandem {
namespace {

// Offsets of the locked bytes; the file itself stays empty.
constexpr off_t kGate = 0;
constexpr off_t kRoom = 1;
constexpr off_t kDrafts = 2;

// How often a target looks whether the drafts are done: short beside a pass,
// and a look takes 1 us.
constexpr absl::Duration kLookEvery = absl::Microseconds(50);

// The users of one host share the file; the umask has the last word.
constexpr mode_t kFileMode = 0660;

struct flock LockOf(off_t offset, short type) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = offset;
  lock.l_len = 1;
  return lock;
}

// Whether another one's lock at `offset` stands against an exclusive one.
bool IsLocked(int fd, off_t offset) {
  struct flock lock = LockOf(offset, F_WRLCK);
  return fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

// Returns 0 or errno.
int SetLock(int fd, off_t offset, short type) {
  struct flock lock = LockOf(offset, type);
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
    const std::string& path, Role role) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kFileMode);
  if (fd < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--compute-turn ", path, ": ", strerror(errno),
                     "; name a file that can be written"));
  }
  return std::unique_ptr<ComputeTurn>(new ComputeTurn(fd, role));
}

ComputeTurn::~ComputeTurn() { close(fd_); }

absl::Status ComputeTurn::Acquire(absl::Duration patience,
                                  absl::FunctionRef<bool()> waits_for_drafts) {
  if (role_ == Role::kTarget) {
    const absl::Time latest = absl::Now() + patience;
    while (absl::Now() < latest && waits_for_drafts() &&
           IsLocked(fd_, kDrafts)) {
      absl::SleepFor(kLookEvery);
    }
  }
  if (const int error = SetLock(fd_, kGate, F_WRLCK); error != 0) {
    return LockError(error);
  }
  const int error = SetLock(fd_, kRoom, F_WRLCK);
  TANDEM_CHECK(SetLock(fd_, kGate, F_UNLCK) == 0);
  return error == 0 ? absl::OkStatus() : LockError(error);
}

void ComputeTurn::Release() { TANDEM_CHECK(SetLock(fd_, kRoom, F_UNLCK) == 0); }

void ComputeTurn::SetDrafting(bool drafting) {
  if (role_ != Role::kDrafter || drafting == drafting_) return;
  drafting_ = drafting;
  // Where the system has no lock left, targets do not wait for the drafts.
  (void)SetLock(fd_, kDrafts, drafting ? F_RDLCK : F_UNLCK);
}

}  // namespace tandem
