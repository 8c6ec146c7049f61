// tandem-worker: computes with language models, as draft or target.

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "engine/base/memory_reservation.h"
#include "services/common/logging.h"
#include "services/common/process_exit.h"
#include "services/common/sandbox/sandbox.h"
#include "services/common/server_flags.h"
#include "services/common/signals.h"
#include "services/worker/server/worker_flags.h"
#include "services/worker/server/worker_server.h"

namespace tandem {
namespace {

// Errors that the user's flags or files have made.
bool IsUsageError(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kAlreadyExists:  // two models of one id
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kResourceExhausted:
      return true;
    default:
      return false;
  }
}

// Root is used to reading everything.
absl::Status WithRights(const absl::Status& status, const ServerFlags& flags) {
  if (!absl::IsPermissionDenied(status) || flags.sandbox == "off") {
    return status;
  }
  return absl::PermissionDeniedError(absl::StrCat(
      std::string(status.message()), "; with --sandbox ", flags.sandbox,
      ", root too reads only what its owner, group or mode open to it"));
}

int Fail(const absl::Status& status, const ServerFlags& flags) {
  const int usage = PrintUsageError(kWorkerProgram, WithRights(status, flags));
  return IsUsageError(status) ? usage : kExitFailed;
}

// What the worker opens beyond the flags that all servers have.
FileAccess FilesOf(const WorkerOptions& options) {
  FileAccess access;
  for (const ModelSpec& model : options.models) access.ReadBeside(model.path);
  access.read.push_back(options.model_folder);
  access.WriteBeside(options.loader.compute_turn);
  access.WriteBeside(options.admin_address_file);
  access.ListenAt(options.admin_listen);
  // Made now, for what is made in it later.
  const std::string reservations = MemoryReservation::DefaultFolder();
  if (MemoryReservation::Open(reservations).ok()) {
    access.write.push_back(reservations);
  }
  return access;
}

int Main(int argc, const char* const* argv) {
  WorkerOptions options;
  if (const std::optional<int> code = ParseWorkerFlags(argc, argv, &options)) {
    return *code;
  }
  InitLogging(options.server.log_format, options.server.log_level);
  Sandbox sandbox(options.server, FilesOf(options));
  SignalWatcher signal({.takes_reload = true});  // a thread, after the sandbox
  absl::StatusOr<std::unique_ptr<WorkerServer>> server =
      WorkerServer::Listen(options);
  if (!server.ok()) return Fail(server.status(), options.server);
  // Reservations of memory and --compute-turn are written at each load.
  sandbox.Seal({.writes_files = true});

  absl::Notification loaded;
  absl::Status load_status;
  std::thread loader([&] {
    load_status = (*server)->Load();
    loaded.Notify();
    if (!load_status.ok()) signal.Request();
  });
  while (signal.Next() == SignalEvent::kReload) (*server)->Reload();
  if (!loaded.HasBeenNotified()) {
    // Loading can not be stopped half way, and nothing waits for it any more.
    EndProcess(kExitOk);
  }
  loader.join();
  if (!load_status.ok()) return Fail(load_status, options.server);
  (*server)->Drain();
  if ((*server)->is_loading()) EndProcess(kExitOk);  // as above
  return kExitOk;
}

}  // namespace
}  // namespace tandem

int main(int argc, char** argv) {
  tandem::BeginProcess();
  tandem::EndProcess(tandem::Main(argc, argv));
}
