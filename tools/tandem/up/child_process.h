// A program that this process has started and that ends with it: its output
// comes line by line, and how it ended. Owned by the supervisor; used by the
// thread that started it, which must live as long as the child: the kernel
// kills the child when that thread ends (PR_SET_PDEATHSIG).

#ifndef TANDEM_TOOLS_TANDEM_UP_CHILD_PROCESS_H_
#define TANDEM_TOOLS_TANDEM_UP_CHILD_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "engine/base/descriptor.h"

namespace tandem::cli {

// A longer line of output comes in pieces of this many bytes.
inline constexpr size_t kOutputLineBytesMax = 8 << 10;

struct ChildEnd {
  int exit_code = 0;  // where no signal ended it
  int signal = 0;     // 0: none
};
// "exit code 2" or "signal 9 (Killed)".
std::string DescribeEnd(const ChildEnd& end);

class ChildProcess {
 public:
  // Runs arguments[0], a path, in a process group of its own, so that Ctrl-C in
  // the terminal reaches this process alone; with an empty standard input, no
  // blocked signal, and the environment without the variables TANDEM_*, which
  // are flags. Errors: UNAVAILABLE, "PATH: can not be started: ...".
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(
      const std::vector<std::string>& arguments);
  // Kills it where it still runs, and waits for its end.
  ~ChildProcess();

  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  pid_t pid() const { return pid_; }
  // Becomes readable when there is output, and when there will be none; -1
  // after that.
  int output() const { return output_.number(); }
  // Hands on the lines that are there, without waiting for more.
  void ReadLines(absl::FunctionRef<void(absl::string_view line)> on_line);

  void Signal(int number) const;
  // How it ended; nothing while it runs.
  std::optional<ChildEnd> end();

 private:
  ChildProcess(pid_t pid, Descriptor output)
      : pid_(pid), output_(std::move(output)) {}

  // As waitpid's options.
  void Wait(int options);

  const pid_t pid_;
  Descriptor output_;
  std::string partial_;  // of a line that has not ended
  std::optional<ChildEnd> end_;
};

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_UP_CHILD_PROCESS_H_
