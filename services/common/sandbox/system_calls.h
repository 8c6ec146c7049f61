// Which system calls a process may make, limited by the kernel (seccomp, with
// libseccomp).

#ifndef TANDEM_SERVICES_COMMON_SANDBOX_SYSTEM_CALLS_H_
#define TANDEM_SERVICES_COMMON_SANDBOX_SYSTEM_CALLS_H_

#include "engine/base/status.h"

namespace tandem {

// Sanitizers look into the process and make calls of their own: with one, no
// process is limited.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kHasSanitizer = true;
#elif defined(__has_feature)
inline constexpr bool kHasSanitizer =
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
inline constexpr bool kHasSanitizer = false;
#endif

// What becomes of a call that a server never makes: running a program, looking
// into another process, mounting, loading kernel code, and the like.
enum class Forbidden {
  kKills,    // the process ends by SIGSYS: somebody else drives it
  kRefused,  // EPERM and a log line, for tests
};

// How a refusal is written.
enum class RefusalLine { kText, kJson };

// Lines about refused calls that a process writes at most; further calls are
// refused in silence.
inline constexpr int kRefusalLinesMax = 16;

struct SystemCallPolicy {
  Forbidden forbidden = Forbidden::kKills;
  RefusalLine line = RefusalLine::kText;
  // Opens connections.
  bool connects = false;
  // Opens files for writing.
  bool writes_files = false;
};

// From now on all threads of the process make the calls that a server makes
// once it listens (files for reading, memory, threads, sockets, clocks), and
// what `policy` adds. A call that is neither among these nor a forbidden one,
// as a new version of a library may make it, is answered with EPERM and one
// line on standard error: the process goes on, so that such a library does not
// end all streams. No process is started. For good; once in a process that has
// called ForbidNewPrivileges. Errors: UNAVAILABLE, the system's reason.
absl::Status LimitSystemCalls(const SystemCallPolicy& policy);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_SANDBOX_SYSTEM_CALLS_H_
