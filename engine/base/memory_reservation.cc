#include "engine/base/memory_reservation.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace tandem {
namespace {

constexpr char kFilePrefix[] = "process-";
constexpr char kLockFile[] = "lock";
constexpr char kNoGroups[] = "-";
// Files of the folder that are looked at; far more than a machine has workers.
constexpr int kFilesMax = 1024;
constexpr int kFilesOfAProcessMax = 64;
// A line holds three numbers and a group's id, of up to 41 characters, for each
// level of the tree.
constexpr size_t kLineBytesMax = 8192;
// Another process holds the lock for as long as it reads some files.
constexpr std::chrono::milliseconds kLockWait{1000};
constexpr std::chrono::milliseconds kLockPause{10};

struct Record {
  int process = 0;
  uint64_t name_space = 0;
  int64_t bytes = 0;
  std::vector<std::string> groups;  // ids
};

absl::Status Unusable(const std::string& folder, absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat("memory reservations in ", folder, ": ", why));
}

// Whose file it is counts, since anybody may make one in /tmp.
bool IsOwnFile(int file, mode_t kind) {
  struct stat status;
  return fstat(file, &status) == 0 && (status.st_mode & S_IFMT) == kind &&
         status.st_uid == geteuid() &&
         (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

Descriptor OpenIn(const Descriptor& folder, const std::string& name,
                  int flags) {
  constexpr mode_t kMode = 0600;
  Descriptor file(openat(folder.number(), name.c_str(),
                         flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, kMode));
  if (file.is_open() && !IsOwnFile(file.number(), S_IFREG)) return Descriptor();
  return file;
}

std::vector<std::string> FilesOf(const Descriptor& folder) {
  std::vector<std::string> names;
  // Of its own, since reading moves the position of a directory.
  const int copy =
      openat(folder.number(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* const list = copy < 0 ? nullptr : fdopendir(copy);
  if (list == nullptr) {
    if (copy >= 0) close(copy);
    return names;
  }
  while (const dirent* entry = readdir(list)) {
    if (names.size() >= kFilesMax) break;
    if (absl::StartsWith(entry->d_name, kFilePrefix)) {
      names.emplace_back(entry->d_name);
    }
  }
  closedir(list);
  return names;
}

// False where the text is none that Reserve writes.
bool ReadRecord(const Descriptor& file, Record* record) {
  char text[kLineBytesMax];
  const ssize_t bytes = pread(file.number(), text, sizeof(text), 0);
  if (bytes <= 0 || text[bytes - 1] != '\n') return false;
  const std::vector<absl::string_view> parts = absl::StrSplit(
      absl::string_view(text, static_cast<size_t>(bytes - 1)), ' ');
  if (parts.size() != 4 || !absl::SimpleAtoi(parts[0], &record->process) ||
      !absl::SimpleAtoi(parts[1], &record->name_space) ||
      !absl::SimpleAtoi(parts[2], &record->bytes) || record->process < 1 ||
      record->bytes < 0) {
    return false;
  }
  record->groups = absl::StrSplit(parts[3], ',');
  return true;
}

// Of this process's numbers of processes; 0 where it can not be read.
uint64_t PidNamespace() {
  struct stat status;
  return stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

// What the process has reserved and does not hold.
int64_t UnusedBytes(const Record& record, uint64_t own_namespace) {
  if (record.name_space != own_namespace) return record.bytes;
  return std::max<int64_t>(0, record.bytes - ResidentBytes(record.process));
}

}  // namespace

std::string MemoryReservation::DefaultFolder() {
  const char* const runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && *runtime == '/') {
    return absl::StrCat(runtime, "/tandem-memory");
  }
  return absl::StrCat("/tmp/tandem-memory-", geteuid());
}

absl::StatusOr<std::unique_ptr<MemoryReservation>> MemoryReservation::Open(
    const std::string& folder) {
  constexpr mode_t kMode = 0700;
  if (mkdir(folder.c_str(), kMode) != 0 && errno != EEXIST) {
    return Unusable(folder, std::strerror(errno));
  }
  Descriptor handle(
      open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!handle.is_open()) return Unusable(folder, std::strerror(errno));
  if (!IsOwnFile(handle.number(), S_IFDIR)) {
    return Unusable(
        folder, "must belong to this user, and nobody else may write there");
  }
  return std::unique_ptr<MemoryReservation>(
      new MemoryReservation(std::move(handle), folder));
}

MemoryReservation::~MemoryReservation() {
  if (own_.is_open()) unlinkat(folder_.number(), own_name_.c_str(), 0);
}

Descriptor MemoryReservation::LockFolder() const {
  Descriptor file = OpenIn(folder_, kLockFile, O_RDWR | O_CREAT);
  if (!file.is_open()) return file;
  const auto until = std::chrono::steady_clock::now() + kLockWait;
  while (flock(file.number(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK || std::chrono::steady_clock::now() >= until) {
      return Descriptor();
    }
    std::this_thread::sleep_for(kLockPause);
  }
  return file;
}

ReservedByOthers MemoryReservation::ReadOthers(
    absl::Span<GroupMemory> groups) const {
  ReservedByOthers others;
  const uint64_t own_namespace = PidNamespace();
  for (const std::string& name : FilesOf(folder_)) {
    if (own_.is_open() && name == own_name_) continue;
    const Descriptor file = OpenIn(folder_, name, O_RDONLY);
    if (!file.is_open()) continue;
    if (flock(file.number(), LOCK_SH | LOCK_NB) == 0) {
      unlinkat(folder_.number(), name.c_str(), 0);  // its process is gone
      continue;
    }
    Record record;
    if (!ReadRecord(file, &record)) continue;
    const int64_t unused = UnusedBytes(record, own_namespace);
    ++others.processes;
    others.unused_bytes += unused;
    for (GroupMemory& group : groups) {
      const bool is_inside =
          std::find(record.groups.begin(), record.groups.end(), group.id) !=
          record.groups.end();
      if (is_inside) group.reserved_bytes += unused;
    }
  }
  return others;
}

absl::Status MemoryReservation::MakeOwnFile() {
  for (int i = 0; i < kFilesOfAProcessMax; ++i) {
    own_name_ = absl::StrCat(kFilePrefix, getpid(), "-", i);
    Descriptor file = OpenIn(folder_, own_name_, O_RDWR | O_CREAT);
    if (file.is_open() && flock(file.number(), LOCK_EX | LOCK_NB) == 0) {
      own_ = std::move(file);
      return absl::OkStatus();
    }
  }
  return Unusable(name_, "no file can be made and locked there");
}

absl::Status MemoryReservation::Reserve(int64_t bytes,
                                        absl::Span<const GroupMemory> groups) {
  if (!own_.is_open()) TANDEM_RETURN_IF_ERROR(MakeOwnFile());
  const std::string start =
      absl::StrCat(getpid(), " ", PidNamespace(), " ", bytes, " ");
  std::string ids;
  for (const GroupMemory& group : groups) {
    if (group.id.empty()) continue;
    // The outermost of a tree that is too deep are left out.
    if (start.size() + ids.size() + group.id.size() + 2 > kLineBytesMax) break;
    absl::StrAppend(&ids, ids.empty() ? "" : ",", group.id);
  }
  const std::string line =
      absl::StrCat(start, ids.empty() ? kNoGroups : ids, "\n");
  // The old text is longer or shorter: the file ends with the new one.
  const ssize_t written = pwrite(own_.number(), line.data(), line.size(), 0);
  if (written != static_cast<ssize_t>(line.size()) ||
      ftruncate(own_.number(), written) != 0) {
    return Unusable(name_, std::strerror(errno));
  }
  return absl::OkStatus();
}

int64_t ResidentBytes(int process, const std::string& root) {
  const std::string text = ReadSmallFile(absl::StrCat(
      root, "/proc/",
      process == 0 ? std::string("self") : absl::StrCat(process), "/status"));
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    int64_t kib = 0;
    if (absl::ConsumePrefix(&line, "RssAnon:") &&
        absl::ConsumeSuffix(&line, " kB") && absl::SimpleAtoi(line, &kib)) {
      return kib << 10;
    }
  }
  return 0;
}

}  // namespace tandem
