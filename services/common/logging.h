// The process's log: spdlog's default logger, to standard error. Prompts,
// generated text and token ids are never logged.

#ifndef TANDEM_SERVICES_COMMON_LOGGING_H_
#define TANDEM_SERVICES_COMMON_LOGGING_H_

#include <cstddef>

#include "absl/strings/string_view.h"

namespace tandem {

// `format`: "text", or "json" (one object a line: time, level, message). A
// message is one line, whatever stands in it (EscapeToLine, or as JSON has it).
// `level`: "debug", "info", "warning" or "error". gRPC's own messages go
// there too, in one line of at most kLibraryMessageBytesMax (its errors as
// warnings, the rest as debug), and protobuf's (as debug). Once, at the start
// of main; the flags have refused other names (server_flags.h).
void InitLogging(absl::string_view format, absl::string_view level);

// For programs without a log, whose errors are statuses: the messages of gRPC
// and protobuf, and of code that servers share, go nowhere. Once, at the start
// of main.
void DropLogs();

inline constexpr size_t kLibraryMessageBytesMax = 300;

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_LOGGING_H_
