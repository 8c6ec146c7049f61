// A child process of a test: started, signalled, waited for, and killed with
// the object if it still runs, so that a test leaves nothing behind.

#ifndef TANDEM_TESTS_SYSTEM_PROCESS_H_
#define TANDEM_TESTS_SYSTEM_PROCESS_H_

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace tandem::testing {

class Process {
 public:
  // Runs argv[0] (a path) with its standard error appended to `log_path` and
  // its standard output to `output_path`. The child dies with this process.
  struct Options {
    std::vector<std::string> argv;
    std::string log_path;
    std::string output_path = "/dev/null";
  };
  explicit Process(const Options& options);
  ~Process();

  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  void Signal(int signal) const;
  bool Running();

  // The exit code (128 + signal where a signal ended it), or nothing where it
  // still runs after `limit`.
  std::optional<int> Wait(std::chrono::milliseconds limit);

 private:
  pid_t pid_ = -1;
  std::optional<int> exit_code_;
};

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_SYSTEM_PROCESS_H_
