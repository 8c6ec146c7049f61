// Keeps several programs running: starts them in order, starts one that has
// ended again, ever later, gives up on one that does not stay, and stops all in
// the reverse order. Owned by the command; one thread, which must live as long
// as the programs (child_process.h).

#ifndef TANDEM_TOOLS_TANDEM_UP_SUPERVISOR_H_
#define TANDEM_TOOLS_TANDEM_UP_SUPERVISOR_H_

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tools/tandem/up/child_process.h"

namespace tandem::cli {

struct SupervisorOptions {
  // A program that has ended is started again after the first of these, then
  // after twice as long each time, up to the second.
  absl::Duration backoff_min = absl::Seconds(1);
  absl::Duration backoff_max = absl::Seconds(16);
  // One that ran for this long begins at backoff_min again.
  absl::Duration stays_after = absl::Minutes(1);
  // Ends in a row after which it is given up: after 15 s, where it ends at once
  // each time.
  int ends_max = 5;
  // What stopping one may take until it is killed: the servers drain for 2 s
  // (service_commands.h), and a process of some GB takes a while to go.
  absl::Duration stop_timeout = absl::Seconds(5);
  // Of all together.
  absl::Duration stop_all_timeout = absl::Seconds(10);
  // Called with each line of output; and with what happens to a program.
  std::function<void(const std::string& name, absl::string_view line)> on_line =
      {};
  std::function<void(const std::string& name, absl::string_view news)> on_news =
      {};
};

enum class ProgramState {
  kStarting,  // MarkReady has not come yet
  kRunning,
  kWaiting,  // it has ended and will be started again
};

class Supervisor {
 public:
  explicit Supervisor(SupervisorOptions options)
      : options_(std::move(options)) {}
  // Kills what still runs.
  ~Supervisor() = default;

  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Starts a program. `name` is not in use. Errors: as ChildProcess::Start.
  absl::Status Add(const std::string& name, std::vector<std::string> arguments);
  // From now on an end of `name` is followed by a new start. Before, it is an
  // error of Attend.
  void MarkReady(const std::string& name);
  // Stops `name` and forgets it.
  void Remove(const std::string& name);

  // Waits for at most `timeout`, hands on output and starts programs again.
  // Errors: UNAVAILABLE, one line: a program has ended before it was ready, or
  // too often. failed() is its name then.
  absl::Status Attend(absl::Duration timeout);
  const std::string& failed() const { return failed_; }

  // By name, in the order of their starts.
  std::vector<std::pair<std::string, ProgramState>> States() const;

  // Stops all, the last one first, each with SIGTERM and, where it takes too
  // long, SIGKILL. Output until their ends is handed on.
  void StopAll();

 private:
  struct Program {
    std::string name;
    std::vector<std::string> arguments;
    std::unique_ptr<ChildProcess> process;  // null: it waits for its start
    bool is_ready = false;
    int ends = 0;          // in a row
    absl::Time started;    // of MonotonicNow, as are all
    absl::Time starts_at;  // where it waits
  };

  Program* Find(const std::string& name);
  // Waits for output of any program.
  void WaitForOutput(absl::Duration timeout);
  void ReadLines(Program* program);
  absl::Status StartAgain(Program* program);
  // It has ended: when it will be started again.
  absl::Status HandleEnd(Program* program, const ChildEnd& end);
  absl::Status GiveUp(const Program& program, absl::string_view why);
  // Ends by `limit`, else it is killed.
  void Stop(Program* program, absl::Time limit);

  const SupervisorOptions options_;
  std::list<Program> programs_;  // in the order of their starts
  std::string failed_;
};

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_UP_SUPERVISOR_H_
