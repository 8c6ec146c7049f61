// The one log of several processes: each line with the name of its process, in
// a file of bounded size, and the newest lines in memory for an error message.
// Owned by whoever runs the processes; one thread.

#ifndef TANDEM_TOOLS_TANDEM_UP_RUN_LOG_H_
#define TANDEM_TOOLS_TANDEM_UP_RUN_LOG_H_

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "spdlog/logger.h"

namespace tandem::cli {

// A file that would grow beyond this goes on in a new one; the one before, also
// that of the run before, is kept as FILE with ".1" before its extension. The
// processes log some hundred lines a day.
inline constexpr size_t kRunLogBytesMax = 16 << 20;
// Lines of a process that are kept in memory: what led to its end.
inline constexpr size_t kRunLogNewestLines = 10;

class RunLog {
 public:
  // Makes the file and missing folders, which are for the user alone. Errors:
  // "PATH: ..." in the system's words, or what the path is where it is no
  // regular file.
  static absl::StatusOr<std::unique_ptr<RunLog>> Open(const std::string& path);

  // Once the file can not be written any more, only the newest lines are kept.
  void Write(const std::string& process, absl::string_view line);
  // The newest lines of the process, the oldest first.
  const std::deque<std::string>& Newest(const std::string& process);

  const std::string& path() const { return path_; }

 private:
  RunLog(std::string path, std::unique_ptr<spdlog::logger> logger)
      : path_(std::move(path)), logger_(std::move(logger)) {}

  const std::string path_;
  const std::unique_ptr<spdlog::logger> logger_;
  std::map<std::string, std::deque<std::string>> newest_;  // by process
};

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_UP_RUN_LOG_H_
