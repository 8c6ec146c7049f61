// The process's log: spdlog's default logger, to standard error. Prompts,
// generated text and token ids are never logged.

#ifndef TANDEM_SERVICES_COMMON_LOGGING_H_
#define TANDEM_SERVICES_COMMON_LOGGING_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace tandem {

// `format`: "text", or "json" (one object a line: time, level, message). A
// message is one line, whatever stands in it (EscapeToLine, or as JSON has it).
// `level`: "debug", "info", "warning" or "error". gRPC's own messages go
// there too, in one line of at most kLibraryMessageBytesMax (its errors as
// warnings, of which kLibraryLinesMax are written in kLibraryLinesInterval; the
// rest as debug), and protobuf's (as debug). Once, at the start of main; the
// flags have refused other names (server_flags.h).
void InitLogging(absl::string_view format, absl::string_view level);

// For programs without a log, whose errors are statuses: the messages of gRPC
// and protobuf, and of code that servers share, go nowhere. Once, at the start
// of main.
void DropLogs();

inline constexpr size_t kLibraryMessageBytesMax = 300;
// A peer brings about an error of gRPC by each call that is compressed, say:
// thousands of lines a second would fill a disk. These are 50 MB a day.
inline constexpr int kLibraryLinesMax = 20;
inline constexpr absl::Duration kLibraryLinesInterval = absl::Seconds(10);

// How many lines of a kind are written that others bring about as often as they
// like; the rest are left out, and counted. Any thread.
class LogLimit {
 public:
  // At most `lines` from the first one on, for `interval`; then anew.
  LogLimit(int lines, absl::Duration interval)
      : lines_(lines), interval_(interval) {}

  // For a line at `now`, of the monotonic clock: how many were left out since
  // the last one that was written. Nothing: this one is left out.
  std::optional<int64_t> Admit(absl::Time now);
  // Begins anew.
  void Reset();

 private:
  const int lines_;
  const absl::Duration interval_;
  absl::Mutex mutex_;
  absl::Time began_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  int written_ ABSL_GUARDED_BY(mutex_) = 0;  // since then
  int64_t left_out_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_LOGGING_H_
