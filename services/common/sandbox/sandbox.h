// The sandbox of a server: what its process gives up at its start, so that
// whoever gets it to run other code through a message or a model file can do
// little with it.
//
// Two steps. First, before any thread: no core dumps, no capabilities, no new
// rights, and files only where the flags point. Then, once the server listens
// and has written its address files: no system calls but those of a server at
// work. What the kernel does not have is left out, and a warning says so. Off
// under sanitizers, which look into the process.

#ifndef TANDEM_SERVICES_COMMON_SANDBOX_SANDBOX_H_
#define TANDEM_SERVICES_COMMON_SANDBOX_SANDBOX_H_

#include <string>
#include <vector>

#include "services/common/sandbox/file_access.h"
#include "services/common/sandbox/system_calls.h"
#include "services/common/server_flags.h"

namespace tandem {

// Owned by main. What it has limited stays so when it is gone.
class Sandbox {
 public:
  // The first step, in main's thread while it is the only one. `access` has
  // what the server opens beyond the flags of ServerFlags and beyond what every
  // process needs (libraries, /proc, /sys, name look-up).
  Sandbox(const ServerFlags& flags, FileAccess access);

  // The second step, once, in any thread. `policy` says what the server does
  // beside; the rest of it follows from the flags. Logs how far the process is
  // limited.
  void Seal(SystemCallPolicy policy);

 private:
  bool is_on() const;
  // Keeps an error for Seal, which logs it.
  void Note(const absl::Status& status);

  const ServerFlags flags_;
  std::vector<std::string> problems_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_SANDBOX_SANDBOX_H_
