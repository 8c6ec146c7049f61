#include "engine/base/control_groups.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace tandem {
namespace {

// Mount tables of hosts with many containers have some 100 KB.
constexpr size_t kFileBytesMax = size_t{4} << 20;
// Groups around a process; the kernel's own bound is of this size.
constexpr int kGroupsMax = 64;
// Version 1 writes "no limit" as the largest number of whole pages.
constexpr int64_t kNoLimit = int64_t{1} << 60;

// Where a controller's groups lie, and the process in them.
struct Hierarchy {
  std::string top;    // the mount's folder
  std::string group;  // the process's, at or below `top`
  bool is_version_2 = false;
};

struct Mount {
  std::string root;  // the group that is mounted
  std::string folder;
  bool is_version_2 = false;
};

// Spaces and the like stand as \ and three octal digits.
std::string Unescape(absl::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto digit = [&](size_t at) { return text[i + at] - '0'; };
    const bool escaped =
        text[i] == '\\' && i + 3 < text.size() &&
        std::all_of(text.begin() + i + 1, text.begin() + i + 4,
                    [](char c) { return c >= '0' && c <= '7'; });
    if (escaped) {
      out += static_cast<char>(digit(1) * 64 + digit(2) * 8 + digit(3));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

bool HasName(absl::string_view list, absl::string_view name) {
  const std::vector<absl::string_view> names = absl::StrSplit(list, ',');
  return std::find(names.begin(), names.end(), name) != names.end();
}

// The mounts that may hold `controller`, of either version.
std::vector<Mount> MountsOf(const std::string& root,
                            absl::string_view controller) {
  std::vector<Mount> mounts;
  const std::string table =
      ReadSmallFile(absl::StrCat(root, "/proc/self/mountinfo"));
  for (absl::string_view line : absl::StrSplit(table, '\n')) {
    const std::pair<absl::string_view, absl::string_view> halves =
        absl::StrSplit(line, absl::MaxSplits(" - ", 1));
    const std::vector<absl::string_view> place =
        absl::StrSplit(halves.first, ' ');
    const std::vector<absl::string_view> kind =
        absl::StrSplit(halves.second, ' ');
    if (place.size() < 5 || kind.size() < 3) continue;
    const bool is_version_2 = kind[0] == "cgroup2";
    if (!is_version_2 &&
        (kind[0] != "cgroup" || !HasName(kind[2], controller))) {
      continue;
    }
    mounts.push_back({.root = Unescape(place[3]),
                      .folder = Unescape(place[4]),
                      .is_version_2 = is_version_2});
  }
  return mounts;
}

// The process's group of `controller`; of version 2 the only one.
std::optional<std::string> GroupOf(const std::string& root,
                                   absl::string_view controller,
                                   bool is_version_2) {
  const std::string list =
      ReadSmallFile(absl::StrCat(root, "/proc/self/cgroup"));
  for (absl::string_view line : absl::StrSplit(list, '\n')) {
    const std::vector<absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (parts.size() != 3) continue;
    const bool found = is_version_2 ? parts[0] == "0" && parts[1].empty()
                                    : HasName(parts[1], controller);
    if (found) return std::string(parts[2]);
  }
  return std::nullopt;
}

std::vector<Hierarchy> HierarchiesOf(const std::string& root,
                                     absl::string_view controller) {
  std::vector<Hierarchy> hierarchies;
  for (const Mount& mount : MountsOf(root, controller)) {
    std::optional<std::string> group =
        GroupOf(root, controller, mount.is_version_2);
    if (!group.has_value()) continue;
    absl::string_view below = *group;
    // In a container the mount's root may be the container's own group, or one
    // that can not be seen: then the mount's folder is all there is to read.
    const bool is_inside =
        mount.root == "/" || (absl::ConsumePrefix(&below, mount.root) &&
                              (below.empty() || below.front() == '/'));
    if (!is_inside || absl::StrContains(below, "..") || below == "/") {
      below = "";
    }
    const std::string top = absl::StrCat(root, mount.folder);
    hierarchies.push_back({.top = top,
                           .group = absl::StrCat(top, below),
                           .is_version_2 = mount.is_version_2});
  }
  return hierarchies;
}

// The group and those around it, from the inside.
std::vector<std::string> GroupsAround(const Hierarchy& hierarchy) {
  std::vector<std::string> groups;
  std::string group = hierarchy.group;
  while (groups.size() < kGroupsMax && group.size() >= hierarchy.top.size()) {
    groups.push_back(group);
    const size_t slash = group.rfind('/');
    if (slash == std::string::npos) break;
    group.resize(slash);
  }
  return groups;
}

// A number that a file consists of; nothing for "max", -1 and other texts.
std::optional<int64_t> ReadNumber(const std::string& path) {
  int64_t number = 0;
  const std::string text = ReadSmallFile(path);
  if (!absl::SimpleAtoi(text, &number) || number < 0 || number >= kNoLimit) {
    return std::nullopt;
  }
  return number;
}

// Of lines "NAME NUMBER".
std::optional<int64_t> FindNumber(absl::string_view text,
                                  absl::string_view name) {
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    int64_t number = 0;
    if (absl::ConsumePrefix(&line, name) && absl::ConsumePrefix(&line, " ") &&
        absl::SimpleAtoi(line, &number) && number >= 0 && number < kNoLimit) {
      return number;
    }
  }
  return std::nullopt;
}

int64_t HeldBytes(const std::string& group, bool is_version_2,
                  absl::string_view stat) {
  const std::optional<int64_t> used = ReadNumber(absl::StrCat(
      group, is_version_2 ? "/memory.current" : "/memory.usage_in_bytes"));
  // Those of version 1 that count the groups below have a prefix.
  const absl::string_view prefix = is_version_2 ? "" : "total_";
  int64_t held = used.value_or(0);
  for (absl::string_view name :
       {"inactive_file", "active_file", "slab_reclaimable"}) {
    held -= FindNumber(stat, absl::StrCat(prefix, name)).value_or(0);
  }
  return std::max<int64_t>(0, held);
}

bool RunsAlone(const std::string& root, const std::string& group) {
  int self = static_cast<int>(getpid());
  const std::string stat = ReadSmallFile(absl::StrCat(root, "/proc/self/stat"));
  (void)absl::SimpleAtoi(stat.substr(0, stat.find(' ')), &self);
  if (self == 1) return true;
  const std::string processes =
      ReadSmallFile(absl::StrCat(group, "/cgroup.procs"));
  return absl::StripAsciiWhitespace(processes) == absl::StrCat(self);
}

std::string IdOf(const std::string& group) {
  struct stat status;
  if (stat(group.c_str(), &status) != 0) return "";
  return absl::StrCat(status.st_dev, ":", status.st_ino);
}

// The least that a group's own files say; nothing where they set no limit.
std::optional<int64_t> LimitOf(const std::string& group, bool is_version_2) {
  if (!is_version_2) {
    return ReadNumber(absl::StrCat(group, "/memory.limit_in_bytes"));
  }
  const std::optional<int64_t> limit =
      ReadNumber(absl::StrCat(group, "/memory.max"));
  // Above "high" the kernel slows the processes down until they hardly run.
  const std::optional<int64_t> high =
      ReadNumber(absl::StrCat(group, "/memory.high"));
  return limit.has_value() && high.has_value() ? std::min(*limit, *high)
         : limit.has_value()                   ? limit
                                               : high;
}

// Quota over period; nothing where there is no quota.
std::optional<double> QuotaOf(const std::string& group, bool is_version_2) {
  double quota = 0;
  double period = 0;
  if (is_version_2) {
    const std::string text = ReadSmallFile(absl::StrCat(group, "/cpu.max"));
    const std::vector<absl::string_view> parts =
        absl::StrSplit(absl::StripAsciiWhitespace(text), ' ');
    if (parts.size() != 2 || !absl::SimpleAtod(parts[0], &quota) ||
        !absl::SimpleAtod(parts[1], &period)) {
      return std::nullopt;
    }
  } else {
    quota = static_cast<double>(
        ReadNumber(absl::StrCat(group, "/cpu.cfs_quota_us")).value_or(0));
    period = static_cast<double>(
        ReadNumber(absl::StrCat(group, "/cpu.cfs_period_us")).value_or(0));
  }
  if (!(quota > 0) || !(period > 0)) return std::nullopt;
  return quota / period;
}

}  // namespace

std::string ReadSmallFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return "";
  std::string text;
  char buffer[4096];
  ssize_t bytes = 0;
  while (text.size() < kFileBytesMax &&
         (bytes = read(file, buffer, sizeof(buffer))) > 0) {
    text.append(buffer, static_cast<size_t>(bytes));
  }
  close(file);
  return text;
}

std::vector<GroupMemory> ReadGroupMemory(const std::string& root) {
  std::vector<GroupMemory> limited;
  for (const Hierarchy& hierarchy : HierarchiesOf(root, "memory")) {
    const bool is_version_2 = hierarchy.is_version_2;
    for (const std::string& group : GroupsAround(hierarchy)) {
      const std::string stat =
          ReadSmallFile(absl::StrCat(group, "/memory.stat"));
      std::optional<int64_t> limit = LimitOf(group, is_version_2);
      if (!is_version_2 && group == hierarchy.group) {
        // Of groups that this process can not see too.
        const std::optional<int64_t> around =
            FindNumber(stat, "hierarchical_memory_limit");
        if (around.has_value()) {
          limit = std::min(limit.value_or(*around), *around);
        }
      }
      if (!limit.has_value()) continue;
      limited.push_back({.limit_bytes = *limit,
                         .held_bytes = HeldBytes(group, is_version_2, stat),
                         .group = group,
                         .id = IdOf(group),
                         .is_own = RunsAlone(root, group)});
    }
  }
  return limited;
}

std::optional<double> ReadProcessorQuota(const std::string& root) {
  std::optional<double> least;
  for (const Hierarchy& hierarchy : HierarchiesOf(root, "cpu")) {
    for (const std::string& group : GroupsAround(hierarchy)) {
      const std::optional<double> quota =
          QuotaOf(group, hierarchy.is_version_2);
      if (quota.has_value()) least = std::min(least.value_or(*quota), *quota);
    }
  }
  return least;
}

}  // namespace tandem
