#include "services/worker/schedule/processor_lock.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"

namespace tandem {
namespace {

// Offsets of the locked bytes; the file itself stays empty.
constexpr off_t kTurnstile = 0;
constexpr off_t kProcessor = 1;
constexpr off_t kDrafts = 2;

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

// Returns 0 or errno.
int SetLock(int fd, off_t offset, short type) {
  struct flock lock = LockOf(offset, type);
  while (fcntl(fd, F_OFD_SETLKW, &lock) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ProcessorLock>> ProcessorLock::Open(
    const std::string& path, Role role) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kFileMode);
  if (fd < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--compute-turn ", path, ": ", strerror(errno),
                     "; name a file that can be written"));
  }
  return std::unique_ptr<ProcessorLock>(new ProcessorLock(fd, role));
}

ProcessorLock::~ProcessorLock() { close(fd_); }

void ProcessorLock::Acquire() {
  if (has_failed_) return;
  int error = SetLock(fd_, kTurnstile, F_WRLCK);
  if (error == 0) {
    error = SetLock(fd_, kProcessor, F_WRLCK);
    TANDEM_CHECK(SetLock(fd_, kTurnstile, F_UNLCK) == 0);
  }
  if (error == 0) return;
  has_failed_ = true;
  spdlog::warn("--compute-turn can not be locked, computing without it: {}",
               strerror(error));
}

void ProcessorLock::Release() {
  if (!has_failed_) TANDEM_CHECK(SetLock(fd_, kProcessor, F_UNLCK) == 0);
}

void ProcessorLock::SetDrafting(bool drafting) {
  if (role_ != Role::kDrafter || drafting == is_drafting_) return;
  is_drafting_ = drafting;
  // Where the system has no lock left, targets do not wait for the drafts.
  (void)SetLock(fd_, kDrafts, drafting ? F_RDLCK : F_UNLCK);
}

bool ProcessorLock::AreDraftsUnderWay() const {
  // Whether a drafter's lock stands against an exclusive one.
  struct flock lock = LockOf(kDrafts, F_WRLCK);
  return role_ == Role::kTarget && fcntl(fd_, F_OFD_GETLK, &lock) == 0 &&
         lock.l_type != F_UNLCK;
}

}  // namespace tandem
