// What the control groups (cgroups, version 1 and 2) of this process leave it:
// memory and processors. Every group around the process counts; of processors
// the least. Reads files only; any thread. A file that is absent or odd sets no
// limit.
//
// The files: Documentation/admin-guide/cgroup-v1/memory.rst, cgroup-v2.rst and
// scheduler/sched-bwc.rst of the Linux kernel; proc(5) for mountinfo.

#ifndef TANDEM_ENGINE_BASE_CONTROL_GROUPS_H_
#define TANDEM_ENGINE_BASE_CONTROL_GROUPS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace tandem {

// A group with a memory limit.
struct GroupMemory {
  int64_t limit_bytes = 0;  // the least where it has several
  // What the group's processes hold and the kernel can not take back: pages of
  // files do not count.
  int64_t held_bytes = 0;
  std::string group = {};  // its folder
  // The folder's device and inode: the same for every process of the machine,
  // wherever a container has mounted it. Empty where they can not be read.
  std::string id = {};
  // The group is of a container of this process: it runs alone in the group, or
  // as the first process (number 1) of its container.
  bool is_own = false;
  // Reserved by other processes in the group and not held yet
  // (memory_reservation.h).
  int64_t reserved_bytes = 0;
};

// The groups with a limit around the process, from the inside. `root` is put
// before every path; tests have trees of their own there.
std::vector<GroupMemory> ReadGroupMemory(const std::string& root = "");

// Processors that the process may keep busy on average, above 0.
std::optional<double> ReadProcessorQuota(const std::string& root = "");

// The bytes of a small text file, up to a bound; empty where it can not be
// read. Never waits.
std::string ReadSmallFile(const std::string& path);

}  // namespace tandem

#endif  // TANDEM_ENGINE_BASE_CONTROL_GROUPS_H_
