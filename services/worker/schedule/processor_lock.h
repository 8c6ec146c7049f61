// One pass at a time between worker processes that share cores
// (--compute-turn FILE). Two teams of threads on the same cores stall at every
// barrier of theirs; one after the other both run at full speed.
//
// A turnstile of two record locks on one file (fcntl, open file description
// locks), at the bytes kTurnstile and kProcessor:
//   Acquire: lock the turnstile, lock the processor, unlock the turnstile.
//   Release: unlock the processor.
// The process that waits for the processor holds the turnstile, so the one that
// releases the processor can not come back before the waiter was in: two busy
// processes alternate strictly. Where more wait at the turnstile, the kernel
// wakes them in order of arrival. The kernel frees the locks of a process that
// dies, inside or waiting.
//
// A process that is stopped inside keeps its locks. So a waiter that has the
// turnstile, and sees for kHolderMax that the processor is not released, goes
// without; and so do its later passes, at once, until the processor is free
// when they look. Two teams at once are slow, and that is all. A thread of the
// lock wakes the waiter, by a signal that ends its system call.
//
// A third byte, kDrafts, holds a fact and orders nothing: a drafter keeps a
// shared lock on it while drafts are under way, and a target's pass gate reads
// it (pass_gate.h). It is a lock so that it ends with its process.
//
// Owned by the compute loop, used on its thread only. Never held between
// passes.

#ifndef TANDEM_SERVICES_WORKER_SCHEDULE_PROCESSOR_LOCK_H_
#define TANDEM_SERVICES_WORKER_SCHEDULE_PROCESSOR_LOCK_H_

#include <pthread.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/monotonic_clock.h"
#include "engine/base/status.h"

namespace tandem {

// The least time after which a coordinator finds a worker hung. A pass of a
// large model that takes longer is overlapped once by one of a smaller one.
inline constexpr absl::Duration kHolderMax = absl::Seconds(2);

class ProcessorLock {
 public:
  enum class Role { kTarget, kDrafter };

  // Opens `path`, which is made if it is not there. Errors: INVALID_ARGUMENT
  // (names path and remedy).
  static absl::StatusOr<std::unique_ptr<ProcessorLock>> Open(
      const std::string& path, Role role);
  ~ProcessorLock();

  ProcessorLock(const ProcessorLock&) = delete;
  ProcessorLock& operator=(const ProcessorLock&) = delete;

  // Blocks until this process may compute; Release follows. The lock is for
  // speed only: where the system has no locks left, a warning is logged once
  // and the process computes without; so it does while the holder hangs.
  void Acquire();
  void Release();

  // A drafter's: whether drafts are under way. A target's: nothing.
  void SetDrafting(bool drafting);
  // A target's: whether a drafter has drafts under way. A drafter's: false.
  bool AreDraftsUnderWay() const;

 private:
  ProcessorLock(int fd, Role role) : fd_(fd), role_(role) {}

  // Waits for both locks; the turnstile is free again. Returns 0 or errno,
  // EINTR where the holder hangs.
  int Wait();
  int WaitForProcessor();
  // Takes both where they are free.
  bool Try();
  // The thread, from the first wait on: wakes a waiter that waits too long.
  void WakeWaiter();

  const int fd_;
  const Role role_;
  bool has_failed_ = false;
  bool is_held_ = false;
  bool is_holder_hung_ = false;  // as the last Acquire saw it
  bool is_drafting_ = false;

  TimedWait stop_;
  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // The thread that waits for the processor, and since when.
  pthread_t waiter_ ABSL_GUARDED_BY(mutex_) = {};
  absl::Time since_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  std::atomic<bool> gives_up_{false};
  std::thread thread_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SCHEDULE_PROCESSOR_LOCK_H_
