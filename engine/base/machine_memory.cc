#include "engine/base/machine_memory.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace tandem {
namespace {

// Of lines "NAME:   NUMBER kB".
std::optional<int64_t> FindBytes(absl::string_view text,
                                 absl::string_view name) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    int64_t kib = 0;
    if (absl::ConsumePrefix(&line, name) && absl::ConsumePrefix(&line, ":") &&
        absl::ConsumeSuffix(&line, " kB") && absl::SimpleAtoi(line, &kib) &&
        kib >= 0 && kib < (int64_t{1} << 50)) {
      return kib << 10;
    }
  }
  return std::nullopt;
}

}  // namespace

MachineMemory ReadMachineMemory(const MachineMemoryOptions& options) {
  MachineMemory memory;
  const std::string info =
      ReadSmallFile(absl::StrCat(options.root, "/proc/meminfo"));
  memory.available_bytes = FindBytes(info, "MemAvailable");
  if (!memory.available_bytes.has_value()) {
    memory.available_bytes = FindBytes(info, "MemFree");
  }
  memory.groups = ReadGroupMemory(options.root);
  memory.process_bytes_max = options.process_bytes_max;
  memory.resident_bytes = ResidentBytes(/*process=*/0, options.root);
  memory.planned_bytes = options.planned_bytes;
  if (options.reservations != nullptr) {
    memory.others =
        options.reservations->ReadOthers(absl::MakeSpan(memory.groups));
  }
  memory.more_to_come = options.more_to_come;
  return memory;
}

}  // namespace tandem
