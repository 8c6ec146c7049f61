#include "services/worker/schedule/processor_lock.h"

#include <fcntl.h>
#include <signal.h>
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

bool TryLock(int fd, off_t offset) {
  struct flock lock = LockOf(offset, F_WRLCK);
  return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

// Ends a system call of the thread that gets it, and is ignored where nobody
// handles it.
constexpr int kWakeSignal = SIGURG;
// A signal that comes before the system call is lost: it is sent again.
constexpr absl::Duration kWakeEvery = absl::Milliseconds(200);

void HandleWakeSignal() {
  struct sigaction action = {};
  action.sa_handler = [](int) {};
  TANDEM_CHECK(sigaction(kWakeSignal, &action, nullptr) == 0);
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

ProcessorLock::~ProcessorLock() {
  {
    const absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  stop_.Notify();
  if (thread_.joinable()) thread_.join();
  close(fd_);
}

void ProcessorLock::WakeWaiter() {
  const auto is_stopping = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stopping_;
  };
  const absl::MutexLock lock(&mutex_);
  while (!stop_.Await(&mutex_, MonotonicNow() + kWakeEvery, is_stopping)) {
    if (MonotonicNow() - since_ < kHolderMax) continue;
    gives_up_.store(true);
    pthread_kill(waiter_, kWakeSignal);
  }
}

void ProcessorLock::Acquire() {
  if (has_failed_) return;
  if (is_holder_hung_) {
    is_held_ = Try();
    is_holder_hung_ = !is_held_;
    return;
  }
  const int error = Wait();
  is_held_ = error == 0;
  if (error == 0) return;
  if (error == EINTR) {
    is_holder_hung_ = true;
    spdlog::warn("the holder of --compute-turn hangs: computing beside it");
    return;
  }
  has_failed_ = true;
  spdlog::warn("--compute-turn can not be locked, computing without it: {}",
               strerror(error));
}

bool ProcessorLock::Try() {
  if (!TryLock(fd_, kTurnstile)) return false;
  const bool is_free = TryLock(fd_, kProcessor);
  TANDEM_CHECK(SetLock(fd_, kTurnstile, F_UNLCK) == 0);
  return is_free;
}

int ProcessorLock::Wait() {
  int error = SetLock(fd_, kTurnstile, F_WRLCK);
  if (error != 0) return error;
  if (!TryLock(fd_, kProcessor)) error = WaitForProcessor();
  TANDEM_CHECK(SetLock(fd_, kTurnstile, F_UNLCK) == 0);
  return error;
}

int ProcessorLock::WaitForProcessor() {
  if (!thread_.joinable()) {
    HandleWakeSignal();
    thread_ = std::thread([this] { WakeWaiter(); });
  }
  {
    const absl::MutexLock lock(&mutex_);
    waiter_ = pthread_self();
    since_ = MonotonicNow();
    gives_up_.store(false);
  }
  struct flock processor = LockOf(kProcessor, F_WRLCK);
  int error = 0;
  do {
    error = fcntl(fd_, F_OFD_SETLKW, &processor) == 0 ? 0 : errno;
  } while (error == EINTR && !gives_up_.load());
  const absl::MutexLock lock(&mutex_);
  since_ = absl::InfiniteFuture();
  return error;
}

void ProcessorLock::Release() {
  if (is_held_) TANDEM_CHECK(SetLock(fd_, kProcessor, F_UNLCK) == 0);
  is_held_ = false;
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
