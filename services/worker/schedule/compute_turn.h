// Turns between worker processes that share cores: one Step each. Two teams of
// threads on the same cores stall at every barrier of theirs; in turns both
// run at full speed.
//
// A turnstile of two record locks on one file (fcntl, open file description
// locks), at the bytes kGate and kRoom:
//   Acquire: lock the gate, lock the room, unlock the gate.
//   Release: unlock the room.
// Who waits for the room holds the gate, so the one who leaves the room can
// not come back before the waiter was in: two busy processes alternate
// strictly. Where more wait at the gate, the kernel wakes them in order of
// arrival. The kernel frees a process's locks when it dies, inside or waiting.
//
// But drafts that are begun go first: a pass of the target costs about the same
// for one session as for all, and a session whose draft is not ready would miss
// it. A drafter holds a shared lock at the byte kDrafts from the first to the
// last pass of the drafts under way; a target looks at it before it comes to
// the gate, and waits, for a limited time.
//
// Owned by the compute loop, used on its thread only. Never held between
// Steps.

#ifndef TANDEM_SERVICES_WORKER_SCHEDULE_COMPUTE_TURN_H_
#define TANDEM_SERVICES_WORKER_SCHEDULE_COMPUTE_TURN_H_

#include <memory>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "engine/base/status.h"

namespace tandem {

class ComputeTurn {
 public:
  enum class Role { kTarget, kDrafter };

  // Opens `path`, which is made if it is not there. Errors: INVALID_ARGUMENT
  // (names path and remedy).
  static absl::StatusOr<std::unique_ptr<ComputeTurn>> Open(
      const std::string& path, Role role);
  ~ComputeTurn();

  ComputeTurn(const ComputeTurn&) = delete;
  ComputeTurn& operator=(const ComputeTurn&) = delete;

  // Blocks until it is this process's turn; a target before that for drafts
  // under way, `patience` at most and as long as `waits_for_drafts` says so.
  // Errors: INTERNAL (the system has no locks left); then there is nothing to
  // release.
  absl::Status Acquire(absl::Duration patience,
                       absl::FunctionRef<bool()> waits_for_drafts);
  void Release();

  // A drafter's: whether drafts are under way. Of a target: nothing.
  void SetDrafting(bool drafting);
  bool drafting() const { return drafting_; }

 private:
  ComputeTurn(int fd, Role role) : fd_(fd), role_(role) {}

  const int fd_;
  const Role role_;
  bool drafting_ = false;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SCHEDULE_COMPUTE_TURN_H_
