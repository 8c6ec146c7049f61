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
// Owned by the compute loop, used on its thread only. Never held between
// Steps.

#ifndef TANDEM_SERVICES_WORKER_COMPUTE_TURN_H_
#define TANDEM_SERVICES_WORKER_COMPUTE_TURN_H_

#include <memory>
#include <string>

#include "engine/base/status.h"

namespace tandem {

class ComputeTurn {
 public:
  // Opens `path`, which is made if it is not there. Errors: INVALID_ARGUMENT
  // (names path and remedy).
  static absl::StatusOr<std::unique_ptr<ComputeTurn>> Open(
      const std::string& path);
  ~ComputeTurn();

  ComputeTurn(const ComputeTurn&) = delete;
  ComputeTurn& operator=(const ComputeTurn&) = delete;

  // Blocks until it is this process's turn. Errors: INTERNAL (the system has
  // no locks left); then there is nothing to release.
  absl::Status Acquire();
  void Release();

 private:
  explicit ComputeTurn(int fd) : fd_(fd) {}

  const int fd_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_COMPUTE_TURN_H_
