#include "services/common/sandbox/privileges.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

absl::Status SystemError(absl::string_view what) {
  return absl::UnavailableError(absl::StrCat(what, ": ", strerror(errno)));
}

}  // namespace

absl::Status DropCapabilities() {
  constexpr uint32_t kKept = CAP_TO_MASK(CAP_NET_BIND_SERVICE);
  static_assert(CAP_TO_INDEX(CAP_NET_BIND_SERVICE) == 0);
  // What a program that is run may get. Refused to a process without
  // CAP_SETPCAP, which has nothing to hand on.
  (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (int number = 0; prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; ++number) {
    if (number == CAP_NET_BIND_SERVICE) continue;
    (void)prctl(PR_CAPBSET_DROP, number, 0, 0, 0);
  }
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3,
                                     .pid = 0};
  __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, sets) != 0) return SystemError("capget");
  sets[0].permitted &= kKept;
  sets[0].effective &= kKept;
  sets[0].inheritable = 0;
  sets[1] = {};
  if (syscall(SYS_capset, &header, sets) != 0) return SystemError("capset");
  return absl::OkStatus();
}

absl::Status ForbidNewPrivileges() {
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) return absl::OkStatus();
  return SystemError("no_new_privs");
}

absl::Status ForbidCoreDumps() {
  constexpr rlimit kNone = {.rlim_cur = 0, .rlim_max = 0};
  if (setrlimit(RLIMIT_CORE, &kNone) != 0) return SystemError("RLIMIT_CORE");
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    return SystemError("PR_SET_DUMPABLE");
  }
  return absl::OkStatus();
}

}  // namespace tandem
