#include "tools/tandem/chat/history_file.h"

#include <fcntl.h>
#include <histedit.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/descriptor.h"
#include "engine/base/status.h"

namespace tandem::cli {
namespace {

// A larger file is no history of ours: each byte of an entry takes up to four.
constexpr int64_t kFileBytesMax =
    int64_t{kHistoryEntriesMax} * kHistoryEntryBytesMax * 4;

absl::Status Failed(const std::string& path, int error) {
  return absl::UnavailableError(absl::StrCat(
      "the history in ", path, " can not be kept: ", std::strerror(error)));
}

void Enter(struct history* entries, const std::string& line) {
  HistEvent event;
  history(entries, &event, H_ENTER, line.c_str());
}

}  // namespace

std::string DefaultHistoryPath() {
  const char* const state = std::getenv("XDG_STATE_HOME");
  // By the specification a relative name counts as none.
  if (state != nullptr && state[0] == '/') {
    return absl::StrCat(state, "/tandem/history");
  }
  const char* const home = std::getenv("HOME");
  if (home == nullptr || home[0] == '\0') return "";
  return absl::StrCat(home, "/.local/state/tandem/history");
}

void HistoryFile::End::operator()(struct history* entries) const {
  history_end(entries);
}

HistoryFile::Entries HistoryFile::NewEntries() {
  Entries entries(history_init());
  TANDEM_CHECK(entries != nullptr);
  HistEvent event;
  history(entries.get(), &event, H_SETSIZE, kHistoryEntriesMax);
  history(entries.get(), &event, H_SETUNIQUE, 1);
  return entries;
}

HistoryFile::HistoryFile(std::string path)
    : path_(std::move(path)), entries_(NewEntries()) {
  if (!path_.empty()) ReadInto(entries_.get());
}

HistoryFile::~HistoryFile() = default;

void HistoryFile::ReadInto(struct history* entries) const {
  struct stat found = {};
  if (stat(path_.c_str(), &found) != 0 || !S_ISREG(found.st_mode) ||
      found.st_size > kFileBytesMax) {
    return;
  }
  HistEvent event;
  history(entries, &event, H_LOAD, path_.c_str());
}

absl::Status HistoryFile::Add(const std::string& line) {
  if (line.size() > kHistoryEntryBytesMax) return absl::OkStatus();
  Enter(entries_.get(), line);
  return path_.empty() ? absl::OkStatus() : Write(line);
}

absl::Status HistoryFile::Write(const std::string& line) const {
  const std::string folder = std::filesystem::path(path_).parent_path();
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  // Another chat waits here: it renames as well.
  const Descriptor lock(
      open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock.is_open() || flock(lock.number(), LOCK_EX) != 0) {
    return Failed(path_, errno);
  }
  const Entries all = NewEntries();
  ReadInto(all.get());
  Enter(all.get(), line);
  const std::string part = absl::StrCat(path_, ".part");
  unlink(part.c_str());
  Descriptor made(
      open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  FILE* const file = made.is_open() ? fdopen(made.number(), "w") : nullptr;
  if (file == nullptr) return Failed(path_, errno);
  made.Release();
  HistEvent event;
  history(all.get(), &event, H_SAVE_FP, file);
  const bool is_written = ferror(file) == 0;
  if (fclose(file) != 0 || !is_written ||
      rename(part.c_str(), path_.c_str()) != 0) {
    const int why = errno;
    unlink(part.c_str());
    return Failed(path_, why);
  }
  return absl::OkStatus();
}

}  // namespace tandem::cli
