// How processes of one user on one machine tell each other how much memory they
// are going to take: memory is taken when it is used, so what is free says too
// much beside a process that has not used its own yet.
//
// A folder has one file for each process that reserves, "process-PID-N", which
// the process keeps locked (flock) for as long as it lives; the kernel frees
// the lock of one that dies, and whoever meets an unlocked file deletes it. The
// text of a file is one line: "PID NAMESPACE BYTES GROUPS". NAMESPACE is the
// inode of the process's PID namespace: the number of a process in another
// container says nothing here, so what it holds can not be read, and all that
// it has reserved counts as not held yet. GROUPS are the ids (control_groups.h)
// of all control groups with a limit around the process, with commas between
// them, or "-". Whoever reads, decides and reserves holds the lock of the file
// "lock" meanwhile, so that two processes which start together do not take the
// same memory.
//
// The folder belongs to the user and nobody else may write there; links are not
// followed. Owned by whoever loads models; one thread at a time.

#ifndef TANDEM_ENGINE_BASE_MEMORY_RESERVATION_H_
#define TANDEM_ENGINE_BASE_MEMORY_RESERVATION_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/types/span.h"
#include "engine/base/control_groups.h"
#include "engine/base/descriptor.h"
#include "engine/base/status.h"

namespace tandem {

// What other processes have reserved and do not hold yet.
struct ReservedByOthers {
  int64_t unused_bytes = 0;
  int processes = 0;  // that have reserved
};

class MemoryReservation {
 public:
  // The user's folder of this machine: below $XDG_RUNTIME_DIR, else in /tmp.
  static std::string DefaultFolder();

  // Makes the folder where it is missing. Errors: FAILED_PRECONDITION (it can
  // not be made, or others may write there), with the folder's name.
  static absl::StatusOr<std::unique_ptr<MemoryReservation>> Open(
      const std::string& folder);
  // Gives the reservation back.
  ~MemoryReservation();

  // Keeps other processes from reading and reserving until it is gone. Waits
  // for another one at most kLockWait; then nothing is locked and the rest goes
  // on without.
  Descriptor LockFolder() const;
  // Adds to each group's reserved_bytes what the processes in it, or in a group
  // below it, have reserved and do not hold yet. The folder is locked.
  ReservedByOthers ReadOthers(absl::Span<GroupMemory> groups) const;
  // From now on this process, which is in `groups`, reserves `bytes` in all; 0:
  // nothing. The folder is locked. Errors: FAILED_PRECONDITION (the file can
  // not be written).
  absl::Status Reserve(int64_t bytes, absl::Span<const GroupMemory> groups);

 private:
  MemoryReservation(Descriptor folder, std::string name)
      : folder_(std::move(folder)), name_(std::move(name)) {}

  absl::Status MakeOwnFile();

  const Descriptor folder_;
  const std::string name_;
  Descriptor own_;  // locked; none before the first Reserve
  std::string own_name_;
};

// Memory that process number `process` holds and that is of no file; 0 where it
// can not be read. 0: this process.
int64_t ResidentBytes(int process, const std::string& root = "");

}  // namespace tandem

#endif  // TANDEM_ENGINE_BASE_MEMORY_RESERVATION_H_
