// What a process may do beyond its user's rights, and whether its memory may be
// read from outside, given up for good. Each call is for a process that has one
// thread so far: threads that are started later inherit it.

#ifndef TANDEM_SERVICES_COMMON_SANDBOX_PRIVILEGES_H_
#define TANDEM_SERVICES_COMMON_SANDBOX_PRIVILEGES_H_

#include "engine/base/status.h"

namespace tandem {

// Gives up all capabilities, also those that a program which it runs would get,
// but for CAP_NET_BIND_SERVICE where the process has it: a flag may name a port
// below 1024. A process of root then has the rights of the files' owner root
// and no more: it does not read what belongs to others and is closed to root.
// Errors: UNAVAILABLE, the system's reason.
absl::Status DropCapabilities();

// No program that the process runs gets more rights than it has (set-user-ID).
// Errors: UNAVAILABLE, the system's reason.
absl::Status ForbidNewPrivileges();

// No core dump, which would hold prompts and keys: neither as a file nor
// through a program of the system (core_pattern), which a limit of 0 alone does
// not keep from it. Other processes of the user can not look into this one
// either, debuggers among them. Errors: UNAVAILABLE, the system's reason.
absl::Status ForbidCoreDumps();

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_SANDBOX_PRIVILEGES_H_
