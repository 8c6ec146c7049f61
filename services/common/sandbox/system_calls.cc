#include "services/common/sandbox/system_calls.h"

#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/ucontext.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tandem {
namespace {

constexpr int kAllowed[] = {
    // Memory.
    SCMP_SYS(brk), SCMP_SYS(madvise), SCMP_SYS(mincore), SCMP_SYS(mmap),
    SCMP_SYS(mprotect), SCMP_SYS(mremap), SCMP_SYS(munmap),
    // Threads and their ends; starting one stands among the conditions.
    SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(futex),
    SCMP_SYS(get_robust_list), SCMP_SYS(getcpu), SCMP_SYS(gettid),
    SCMP_SYS(membarrier), SCMP_SYS(restart_syscall), SCMP_SYS(rseq),
    SCMP_SYS(sched_get_priority_max), SCMP_SYS(sched_get_priority_min),
    SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_getparam),
    SCMP_SYS(sched_getscheduler), SCMP_SYS(sched_setaffinity),
    SCMP_SYS(sched_yield), SCMP_SYS(set_robust_list), SCMP_SYS(set_tid_address),
    // Signals of the process's own.
    SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigpending), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigtimedwait), SCMP_SYS(sigaltstack),
    SCMP_SYS(signalfd4),
    // Clocks.
    SCMP_SYS(clock_getres), SCMP_SYS(clock_gettime), SCMP_SYS(clock_nanosleep),
    SCMP_SYS(gettimeofday), SCMP_SYS(nanosleep), SCMP_SYS(time),
    SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_gettime),
    SCMP_SYS(timerfd_settime), SCMP_SYS(times),
    // What the process is and has.
    SCMP_SYS(getegid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getpid),
    SCMP_SYS(getppid), SCMP_SYS(getrandom), SCMP_SYS(getrlimit),
    SCMP_SYS(getrusage), SCMP_SYS(getuid), SCMP_SYS(sysinfo), SCMP_SYS(uname),
    // Files, by descriptor and by name; opening stands among the conditions.
    SCMP_SYS(access), SCMP_SYS(close), SCMP_SYS(close_range), SCMP_SYS(dup),
    SCMP_SYS(dup2), SCMP_SYS(dup3), SCMP_SYS(faccessat), SCMP_SYS(faccessat2),
    SCMP_SYS(fadvise64), SCMP_SYS(fcntl), SCMP_SYS(fdatasync), SCMP_SYS(flock),
    SCMP_SYS(fstat), SCMP_SYS(fstatfs), SCMP_SYS(fsync), SCMP_SYS(ftruncate),
    SCMP_SYS(getcwd), SCMP_SYS(getdents64), SCMP_SYS(lseek), SCMP_SYS(lstat),
    SCMP_SYS(newfstatat), SCMP_SYS(pread64), SCMP_SYS(preadv),
    SCMP_SYS(pwrite64), SCMP_SYS(pwritev), SCMP_SYS(read), SCMP_SYS(readlink),
    SCMP_SYS(readlinkat), SCMP_SYS(readv), SCMP_SYS(stat), SCMP_SYS(statfs),
    SCMP_SYS(statx), SCMP_SYS(write), SCMP_SYS(writev),
    // A file in memory, for libraries that read by a path.
    SCMP_SYS(memfd_create),
    // A server's socket and a worker's reservation go with it.
    SCMP_SYS(unlink), SCMP_SYS(unlinkat),
    // Waiting.
    SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2), SCMP_SYS(epoll_wait), SCMP_SYS(eventfd2),
    SCMP_SYS(pipe), SCMP_SYS(pipe2), SCMP_SYS(poll), SCMP_SYS(ppoll),
    SCMP_SYS(pselect6), SCMP_SYS(select),
    // Sockets; making one stands among the conditions.
    SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(bind), SCMP_SYS(getpeername),
    SCMP_SYS(getsockname), SCMP_SYS(getsockopt), SCMP_SYS(listen),
    SCMP_SYS(recvfrom), SCMP_SYS(recvmmsg), SCMP_SYS(recvmsg),
    SCMP_SYS(sendmmsg), SCMP_SYS(sendmsg), SCMP_SYS(sendto),
    SCMP_SYS(setsockopt), SCMP_SYS(shutdown), SCMP_SYS(socketpair)};

// Calls that no library of a server makes in its place either: what makes one
// is not the server any more.
constexpr int kForbidden[] = {
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork),
    // Other processes.
    SCMP_SYS(kcmp), SCMP_SYS(pidfd_getfd), SCMP_SYS(process_madvise),
    SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(ptrace),
    // Other rights.
    SCMP_SYS(capset), SCMP_SYS(setgid), SCMP_SYS(setgroups), SCMP_SYS(setns),
    SCMP_SYS(setregid), SCMP_SYS(setresgid), SCMP_SYS(setresuid),
    SCMP_SYS(setreuid), SCMP_SYS(setuid), SCMP_SYS(unshare),
    // The kernel: its code, its keys, its tracing, its mounts.
    SCMP_SYS(add_key), SCMP_SYS(bpf), SCMP_SYS(delete_module),
    SCMP_SYS(finit_module), SCMP_SYS(init_module), SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register), SCMP_SYS(io_uring_setup), SCMP_SYS(ioperm),
    SCMP_SYS(iopl), SCMP_SYS(kexec_file_load), SCMP_SYS(kexec_load),
    SCMP_SYS(keyctl), SCMP_SYS(perf_event_open), SCMP_SYS(reboot),
    SCMP_SYS(request_key), SCMP_SYS(swapon), SCMP_SYS(userfaultfd),
    SCMP_SYS(chroot), SCMP_SYS(fsconfig), SCMP_SYS(fsmount), SCMP_SYS(fsopen),
    SCMP_SYS(mount), SCMP_SYS(mount_setattr), SCMP_SYS(move_mount),
    SCMP_SYS(open_by_handle_at), SCMP_SYS(open_tree), SCMP_SYS(pivot_root),
    SCMP_SYS(umount2)};

// Their flags stand in memory, which a filter can not read. The C library then
// makes the older call, whose flags are among the conditions.
constexpr int kAbsent[] = {SCMP_SYS(clone3), SCMP_SYS(openat2)};

// A call is allowed where one of its conditions holds: (argument & mask) ==
// value.
struct Condition {
  int call;
  unsigned argument;
  uint64_t mask;
  uint64_t value;
};

// The upper half of an argument that is an int is not defined.
constexpr uint64_t kInt = 0xffffffff;
constexpr uint64_t kWritingFlags = O_ACCMODE | O_CREAT | O_TRUNC;
constexpr uint64_t kNetlinkRoute = 0;
constexpr uint64_t kNetlinkSockDiag = NETLINK_SOCK_DIAG;

constexpr Condition kConditions[] = {
    // Threads, not processes.
    {SCMP_SYS(clone), 0, CLONE_THREAD, CLONE_THREAD},
    // Names of threads and, by later C libraries, of memory.
    {SCMP_SYS(prctl), 0, kInt, PR_SET_NAME},
    {SCMP_SYS(prctl), 0, kInt, PR_GET_NAME},
    {SCMP_SYS(prctl), 0, kInt, PR_SET_VMA},
    // The tiles of AMX, which oneDNN asks the kernel for when it first looks at
    // the processor; refused, it computes in another way than outside.
    {SCMP_SYS(arch_prctl), 0, kInt, ARCH_GET_XCOMP_SUPP},
    {SCMP_SYS(arch_prctl), 0, kInt, ARCH_GET_XCOMP_PERM},
    {SCMP_SYS(arch_prctl), 0, kInt, ARCH_REQ_XCOMP_PERM},
    // Times of an open file, not of a path.
    {SCMP_SYS(utimensat), 1, ~uint64_t{0}, 0},
    // Limits are read.
    {SCMP_SYS(prlimit64), 2, ~uint64_t{0}, 0},
    // Not TIOCSTI, which would type into the terminal of standard error.
    {SCMP_SYS(ioctl), 1, kInt, FIONBIO},
    {SCMP_SYS(ioctl), 1, kInt, FIONREAD},
    {SCMP_SYS(ioctl), 1, kInt, SIOCGIFINDEX},
    {SCMP_SYS(ioctl), 1, kInt, SIOCGIFNAME},
    {SCMP_SYS(ioctl), 1, kInt, SIOCOUTQ},
    {SCMP_SYS(ioctl), 1, kInt, TCGETS},
    {SCMP_SYS(ioctl), 1, kInt, TIOCGWINSZ},
    {SCMP_SYS(socket), 0, kInt, AF_INET},
    {SCMP_SYS(socket), 0, kInt, AF_INET6},
    {SCMP_SYS(socket), 0, kInt, AF_UNIX},
};

constexpr Condition kReadingFiles[] = {
    {SCMP_SYS(open), 1, kWritingFlags, O_RDONLY},
    {SCMP_SYS(openat), 2, kWritingFlags, O_RDONLY},
};

using Filter = std::unique_ptr<std::remove_pointer_t<scmp_filter_ctx>,
                               decltype(&seccomp_release)>;

// Collects the rules of one filter; keeps the first error.
class FilterBuilder {
 public:
  // Calls without a rule raise SIGSYS.
  FilterBuilder()
      : filter_(seccomp_init(SCMP_ACT_TRAP), &seccomp_release),
        error_(filter_ == nullptr ? -ENOMEM : 0) {}

  void Add(uint32_t action, absl::Span<const int> calls) {
    for (const int call : calls) AddRule(action, call, {});
  }
  void Allow(int call, absl::Span<const scmp_arg_cmp> conditions) {
    AddRule(SCMP_ACT_ALLOW, call, conditions);
  }
  void AllowWhere(absl::Span<const Condition> conditions) {
    for (const Condition& condition : conditions) {
      const scmp_arg_cmp compared = Compared(condition);
      Allow(condition.call, {&compared, 1});
    }
  }
  static scmp_arg_cmp Compared(const Condition& condition) {
    return {.arg = condition.argument,
            .op = SCMP_CMP_MASKED_EQ,
            .datum_a = condition.mask,
            .datum_b = condition.value};
  }

  // For all threads. Returns 0 or an error below 0.
  int Load() {
    Set(SCMP_FLTATR_CTL_TSYNC, 1);
    // A tree of comparisons instead of a list; for calls that the kernel has
    // not found to be allowed always.
    Set(SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (error_ == 0) error_ = seccomp_load(filter_.get());
    return error_;
  }

 private:
  void Set(scmp_filter_attr attribute, uint32_t value) {
    if (error_ == 0) {
      error_ = seccomp_attr_set(filter_.get(), attribute, value);
    }
  }
  void AddRule(uint32_t action, int call,
               absl::Span<const scmp_arg_cmp> conditions) {
    if (error_ != 0) return;
    error_ = seccomp_rule_add_array(filter_.get(), action, call,
                                    static_cast<unsigned>(conditions.size()),
                                    conditions.data());
  }

  const Filter filter_;
  int error_;
};

// What stands before and after the call's number. A signal handler reads them.
struct LinePieces {
  absl::string_view before;
  absl::string_view after;
};
constexpr LinePieces kTextLine = {
    "sandbox: refused system call number ",
    " (EPERM); --sandbox off turns the sandbox off\n"};
constexpr LinePieces kJsonLine = {
    "{\"level\":\"warning\",\"message\":\"sandbox: refused system call number ",
    " (EPERM); --sandbox off turns the sandbox off\"}\n"};

const LinePieces* line_pieces = &kTextLine;  // set before the handler is
std::atomic<int> refusal_lines = 0;

// Calls what a signal handler may call, and no library.
void WriteRefusal(int call) {
  if (refusal_lines.fetch_add(1) >= kRefusalLinesMax) return;
  char line[192];
  char* end = line;
  const auto append = [&end](absl::string_view text) {
    for (const char c : text) *end++ = c;
  };
  append(line_pieces->before);
  char digits[10];
  int count = 0;
  do {
    digits[count++] = static_cast<char>('0' + call % 10);
    call /= 10;
  } while (call > 0);
  while (count > 0) *end++ = digits[--count];
  append(line_pieces->after);
  // Where standard error is full, the line is lost.
  [[maybe_unused]] const ssize_t written =
      write(STDERR_FILENO, line, static_cast<size_t>(end - line));
}

// Answers a call that was trapped with EPERM.
void OnTrappedCall(int /*signal*/, siginfo_t* info, void* context) {
  constexpr int kCodeOfSeccomp = 1;                          // SYS_SECCOMP
  if (info->si_code != kCodeOfSeccomp) _exit(128 + SIGSYS);  // sent by somebody
  const int error = errno;
  WriteRefusal(info->si_syscall);
  static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RAX] = -EPERM;
  errno = error;
}

absl::Status InstallHandler(RefusalLine line) {
  line_pieces = line == RefusalLine::kJson ? &kJsonLine : &kTextLine;
  struct sigaction action = {};
  action.sa_sigaction = OnTrappedCall;
  action.sa_flags = SA_SIGINFO;
  if (sigaction(SIGSYS, &action, nullptr) == 0) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("SIGSYS: ", strerror(errno)));
}

}  // namespace

absl::Status LimitSystemCalls(const SystemCallPolicy& policy) {
  TANDEM_RETURN_IF_ERROR(InstallHandler(policy.line));
  FilterBuilder filter;
  filter.Add(SCMP_ACT_ALLOW, kAllowed);
  filter.Add(SCMP_ACT_ERRNO(ENOSYS), kAbsent);
  filter.AllowWhere(kConditions);
  if (policy.forbidden == Forbidden::kKills) {
    filter.Add(SCMP_ACT_KILL_PROCESS, kForbidden);
  }
  // A signal to the process itself: abort().
  const Condition own_signal = {SCMP_SYS(tgkill), 0, kInt,
                                static_cast<uint64_t>(getpid())};
  filter.AllowWhere({&own_signal, 1});
  // Netlink says which addresses and connections there are.
  for (const uint64_t protocol : {kNetlinkRoute, kNetlinkSockDiag}) {
    const scmp_arg_cmp netlink[] = {
        FilterBuilder::Compared({SCMP_SYS(socket), 0, kInt, AF_NETLINK}),
        FilterBuilder::Compared({SCMP_SYS(socket), 2, kInt, protocol})};
    filter.Allow(SCMP_SYS(socket), netlink);
  }
  if (policy.connects) filter.Allow(SCMP_SYS(connect), {});
  if (policy.writes_files) {
    filter.Allow(SCMP_SYS(open), {});
    filter.Allow(SCMP_SYS(openat), {});
    // SQLite, run by root, gives its log the owner of its file.
    filter.Allow(SCMP_SYS(fchown), {});
  } else {
    filter.AllowWhere(kReadingFiles);
  }
  const int error = filter.Load();
  if (error == 0) return absl::OkStatus();
  return absl::UnavailableError(
      absl::StrCat("the system call filter: ", strerror(-error)));
}

}  // namespace tandem
