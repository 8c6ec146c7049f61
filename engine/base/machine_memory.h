// The memory that this process may take, as read from the machine. A value;
// model/memory_plan.h decides by it.

#ifndef TANDEM_ENGINE_BASE_MACHINE_MEMORY_H_
#define TANDEM_ENGINE_BASE_MACHINE_MEMORY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/control_groups.h"
#include "engine/base/memory_reservation.h"

namespace tandem {

struct MachineMemory {
  // What the kernel can give without swapping (MemAvailable); absent: unknown.
  std::optional<int64_t> available_bytes;
  std::vector<GroupMemory> groups;  // those with a limit
  // What the process may hold in all, by its flag; 0: no bound.
  int64_t process_bytes_max = 0;
  // What this process holds, and what it has planned to hold in all by now.
  int64_t resident_bytes = 0;
  int64_t planned_bytes = 0;
  ReservedByOthers others;
  // More models will be planned for later.
  bool more_to_come = false;
};

struct MachineMemoryOptions {
  // Of other processes; may be null. Its folder is locked.
  const MemoryReservation* reservations = nullptr;
  int64_t process_bytes_max = 0;
  int64_t planned_bytes = 0;
  bool more_to_come = false;
  std::string root = {};  // put before every path; for tests
};

MachineMemory ReadMachineMemory(const MachineMemoryOptions& options = {});

}  // namespace tandem

#endif  // TANDEM_ENGINE_BASE_MACHINE_MEMORY_H_
