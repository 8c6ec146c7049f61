// A model served on this machine: a target worker, perhaps a draft worker, a
// coordinator and, where it is installed, a gateway, as processes of this one.
// Owned by the command, whose thread alone uses it.

#ifndef TANDEM_TOOLS_TANDEM_UP_LOCAL_SERVICE_H_
#define TANDEM_TOOLS_TANDEM_UP_LOCAL_SERVICE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "tools/tandem/base/command.h"
#include "tools/tandem/base/terminal.h"
#include "tools/tandem/up/run_log.h"
#include "tools/tandem/up/runtime_folder.h"
#include "tools/tandem/up/service_commands.h"
#include "tools/tandem/up/supervisor.h"

namespace tandem::cli {

// The largest models take minutes from a slow disk; what takes longer hangs.
inline constexpr absl::Duration kStartTimeout = absl::Minutes(30);

struct LocalServiceOptions {
  Programs programs;
  WorkerCommand target;
  std::optional<WorkerCommand> draft = {};
  std::string listen;       // of the coordinator, with its port
  std::string http_listen;  // of the gateway, HOST:PORT
  std::string log_path;
  // Folder of the sessions; empty: they end with the run.
  std::string state_dir = {};
  // Asked every 0.2 s at least: once it is true, Start and Run return.
  std::function<bool()> is_interrupted;
};

class LocalService {
 public:
  // `io` outlives it: news go to its err, progress too where that is a
  // terminal. Errors: the log or a folder can not be made.
  static absl::StatusOr<std::unique_ptr<LocalService>> Make(
      LocalServiceOptions options, const Io& io);

  // Starts all, and returns when the last one is ready. Errors: one has ended,
  // InterruptedError.
  absl::Status Start();
  // The service goes on without its draft worker.
  absl::Status DropDraft();
  // Keeps all running until the interrupt, which is OK, or until one of them
  // does not stay.
  absl::Status Run();
  // Stops all, in the reverse order.
  void Stop();

  // A line on standard error, for people.
  void Say(absl::string_view line);
  // Before something else is written to the terminal.
  void ClearStatus() { status_line_.Clear(); }

  // "PROGRAM: LINE" of the program that has failed, for its error.
  std::string NewestLines();
  const std::string& log_path() const { return log_->path(); }
  bool has_gateway() const { return !options_.programs.gateway.empty(); }

 private:
  LocalService(LocalServiceOptions options, const Io& io,
               std::unique_ptr<RuntimeFolder> folder,
               std::unique_ptr<RunLog> log);

  void OnLine(const std::string& name, absl::string_view line);
  void OnNews(const std::string& name, absl::string_view news);
  void ShowStatus();

  absl::Status StartCoordinator();
  // Attends to the programs until `is_ready`.
  absl::Status AwaitReady(const std::string& name,
                          const std::function<bool()>& is_ready);
  absl::Status AwaitHealthy(const std::string& name,
                            const std::string& address);
  // Until the coordinator has found the draft worker.
  absl::Status AwaitDraft();

  const LocalServiceOptions options_;
  const Io& io_;
  bool has_draft_;
  const std::unique_ptr<RuntimeFolder> folder_;
  const std::unique_ptr<RunLog> log_;
  StatusLine status_line_;
  std::string progress_;   // of the model that is being loaded; empty: none
  Supervisor supervisor_;  // last: it uses the others
};

// The model and the part of it that a worker's log line says are loaded; none
// in other lines.
struct LoadingProgress {
  std::string model;
  double part = 0;  // 0 to 1
};
std::optional<LoadingProgress> ParseProgress(absl::string_view line);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_UP_LOCAL_SERVICE_H_
