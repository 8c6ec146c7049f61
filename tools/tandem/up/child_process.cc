#include "tools/tandem/up/child_process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/check.h"

namespace tandem::cli {
namespace {

// Bytes of output that one call reads at most, so that a child which never
// stops writing does not keep the others waiting.
constexpr size_t kReadBytesMax = 64 << 10;

absl::Status CanNotStart(const std::string& path, int error) {
  return absl::UnavailableError(
      absl::StrCat(path, ": can not be started: ", strerror(error)));
}

struct Pipe {
  Descriptor read_end;
  Descriptor write_end;
};

// False and errno where there is none.
bool MakePipe(int flags, Pipe* made) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC | flags) != 0) return false;
  made->read_end = Descriptor(ends[0]);
  made->write_end = Descriptor(ends[1]);
  return true;
}

std::vector<char*> Environment() {
  std::vector<char*> variables;
  for (char** it = environ; *it != nullptr; ++it) {
    if (!absl::StartsWith(*it, "TANDEM_")) variables.push_back(*it);
  }
  variables.push_back(nullptr);
  return variables;
}

// What the child needs, made before the fork: after it nothing is allocated.
struct Launch {
  std::vector<char*> arguments = {};
  std::vector<char*> environment = {};
  int input = -1;
  int output = -1;
  int failure = -1;  // errno goes there where the program can not be run
  pid_t parent = 0;
};

// In the child, where only functions that are safe in a signal handler may be
// called.
[[noreturn]] void RunProgram(const Launch& launch) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // It died before that.
  if (getppid() != launch.parent) _exit(1);
  setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (dup2(launch.input, STDIN_FILENO) >= 0 &&
      dup2(launch.output, STDOUT_FILENO) >= 0 &&
      dup2(launch.output, STDERR_FILENO) >= 0) {
    // Those that a library has opened without the flag; an older kernel has no
    // such call.
    (void)close_range(STDERR_FILENO + 1, UINT_MAX, CLOSE_RANGE_CLOEXEC);
    execve(launch.arguments[0], launch.arguments.data(),
           launch.environment.data());
  }
  const int error = errno;
  (void)!write(launch.failure, &error, sizeof(error));
  _exit(1);
}

}  // namespace

std::string DescribeEnd(const ChildEnd& end) {
  if (end.signal == 0) return absl::StrCat("exit code ", end.exit_code);
  return absl::StrCat("signal ", end.signal, " (", strsignal(end.signal), ")");
}

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(
    const std::vector<std::string>& arguments) {
  TANDEM_CHECK(!arguments.empty());
  const std::string& path = arguments.front();
  const Descriptor null(open("/dev/null", O_RDONLY | O_CLOEXEC));
  Pipe output;
  Pipe failure;
  if (!null.is_open() || !MakePipe(0, &output) || !MakePipe(0, &failure)) {
    return CanNotStart(path, errno);
  }
  // Of our end alone: the child's writes wait.
  fcntl(output.read_end.number(), F_SETFL, O_NONBLOCK);
  Launch launch = {.environment = Environment(),
                   .input = null.number(),
                   .output = output.write_end.number(),
                   .failure = failure.write_end.number(),
                   .parent = getpid()};
  for (const std::string& argument : arguments) {
    launch.arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  launch.arguments.push_back(nullptr);
  const pid_t pid = fork();
  if (pid < 0) return CanNotStart(path, errno);
  if (pid == 0) RunProgram(launch);
  std::unique_ptr<ChildProcess> child(
      new ChildProcess(pid, std::move(output.read_end)));
  failure.write_end = Descriptor();
  int error = 0;
  ssize_t bytes = -1;
  do {  // ends when the program runs, which closes the pipe
    bytes = read(failure.read_end.number(), &error, sizeof(error));
  } while (bytes < 0 && errno == EINTR);
  if (bytes == sizeof(error)) return CanNotStart(path, error);
  return child;
}

ChildProcess::~ChildProcess() {
  if (end().has_value()) return;
  Signal(SIGKILL);
  Wait(0);
}

void ChildProcess::ReadLines(
    absl::FunctionRef<void(absl::string_view)> on_line) {
  char bytes[4096];
  size_t total = 0;
  while (output_.is_open() && total < kReadBytesMax) {
    const ssize_t count = read(output_.number(), bytes, sizeof(bytes));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
      if (!partial_.empty()) on_line(partial_);
      partial_.clear();
      output_ = Descriptor();
      return;
    }
    total += static_cast<size_t>(count);
    absl::string_view rest(bytes, static_cast<size_t>(count));
    while (!rest.empty()) {
      const size_t room = kOutputLineBytesMax - partial_.size();
      const size_t line_end = rest.find('\n');
      const bool ends = line_end != absl::string_view::npos;
      const size_t taken = std::min({ends ? line_end : rest.size(), room});
      partial_.append(rest.data(), taken);
      rest.remove_prefix(taken);
      const bool is_line = absl::ConsumePrefix(&rest, "\n");
      if (!is_line && partial_.size() < kOutputLineBytesMax) continue;
      on_line(partial_);
      partial_.clear();
    }
  }
}

void ChildProcess::Signal(int number) const {
  if (!end_.has_value()) kill(pid_, number);
}

std::optional<ChildEnd> ChildProcess::end() {
  Wait(WNOHANG);
  return end_;
}

void ChildProcess::Wait(int options) {
  if (end_.has_value()) return;
  int status = 0;
  pid_t ended = -1;
  do {
    ended = waitpid(pid_, &status, options);
  } while (ended < 0 && errno == EINTR);
  if (ended == 0) return;
  TANDEM_CHECK(ended == pid_);
  end_ = WIFSIGNALED(status)
             ? ChildEnd{.exit_code = 0, .signal = WTERMSIG(status)}
             : ChildEnd{.exit_code = WEXITSTATUS(status), .signal = 0};
}

}  // namespace tandem::cli
