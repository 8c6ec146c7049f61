// Which files a process may open, limited by the kernel (Landlock, Linux 5.13;
// documented in the kernel's userspace-api/landlock.rst).
//
// A folder stands for all that is in it and below, also what comes later; links
// are followed first, so a link out of a folder does not widen it. What is open
// already stays open.

#ifndef TANDEM_SERVICES_COMMON_SANDBOX_FILE_ACCESS_H_
#define TANDEM_SERVICES_COMMON_SANDBOX_FILE_ACCESS_H_

#include <string>
#include <vector>

#include "engine/base/status.h"

namespace tandem {

// A value. Paths that are not there, or are empty, give access to nothing.
struct FileAccess {
  std::vector<std::string> read;   // folders and files
  std::vector<std::string> write;  // folders: files and sockets are made there

  // The folder of the file `path`, which may be replaced by another of its
  // name, and the folder of the file that `path` links to.
  void ReadBeside(const std::string& path);
  void WriteBeside(const std::string& path);
  // The folder of a unix socket's path; nothing for another address.
  void ListenAt(const std::string& address);
};

// From now on the calling thread, and threads that it starts, open files as
// `access` says and run no program. For good; the process has one thread so
// far. Errors: UNIMPLEMENTED where the kernel has no Landlock, or a container's
// filter hides it; UNAVAILABLE, the system's reason.
absl::Status LimitFileAccess(const FileAccess& access);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_SANDBOX_FILE_ACCESS_H_
