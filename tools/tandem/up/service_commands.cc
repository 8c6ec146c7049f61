#include "tools/tandem/up/service_commands.h"

#include <unistd.h>

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"

namespace tandem::cli {
namespace {

// What running turns get when all stops: whoever stops a service on the own
// machine does not wait for half a minute. supervisor.h allows for it.
constexpr char kDrainTimeoutMs[] = "2000";

absl::Status FindOne(const std::filesystem::path& folder, const char* name,
                     std::string* found) {
  const std::string path = (folder / name).string();
  if (access(path.c_str(), X_OK) != 0) {
    return absl::NotFoundError(absl::StrCat(
        name, " is not in ", folder.string(),
        ", where this tandem is: install or build the programs together"));
  }
  *found = path;
  return absl::OkStatus();
}

std::vector<std::string> WorkerArguments(const Programs& programs,
                                         const RuntimeFolder& folder,
                                         const WorkerCommand& worker,
                                         const char* role,
                                         const std::string& address) {
  std::vector<std::string> arguments = {programs.worker,
                                        "--role",
                                        role,
                                        "--model",
                                        worker.model,
                                        "--listen",
                                        address,
                                        "--compute-turn",
                                        folder.PathOf("turn"),
                                        "--drain-timeout-ms",
                                        kDrainTimeoutMs};
  if (worker.kv_tokens > 0) {
    arguments.insert(arguments.end(),
                     {"--kv-tokens", absl::StrCat(worker.kv_tokens)});
  }
  return arguments;
}

}  // namespace

absl::StatusOr<Programs> FindPrograms(const std::string& self) {
  const std::filesystem::path folder =
      std::filesystem::path(self).parent_path();
  Programs programs;
  absl::Status status = FindOne(folder, "tandem-worker", &programs.worker);
  if (status.ok()) {
    status = FindOne(folder, "tandem-coordinator", &programs.coordinator);
  }
  if (!status.ok()) return status;
  FindOne(folder, "tandem-gateway", &programs.gateway).IgnoreError();
  return programs;
}

std::vector<std::string> TargetCommand(const Programs& programs,
                                       const RuntimeFolder& folder,
                                       const WorkerCommand& worker) {
  return WorkerArguments(programs, folder, worker, "target",
                         TargetAddress(folder));
}

std::vector<std::string> DraftCommand(const Programs& programs,
                                      const RuntimeFolder& folder,
                                      const WorkerCommand& worker) {
  return WorkerArguments(programs, folder, worker, "draft",
                         DraftAddress(folder));
}

std::string TargetAddress(const RuntimeFolder& folder) {
  return absl::StrCat("unix:", folder.PathOf("target.sock"));
}

std::string DraftAddress(const RuntimeFolder& folder) {
  return absl::StrCat("unix:", folder.PathOf("draft.sock"));
}

std::vector<std::string> CoordinatorCommand(const Programs& programs,
                                            const RuntimeFolder& folder,
                                            const CoordinatorSetup& setup) {
  std::vector<std::string> arguments = {
      programs.coordinator,
      "--listen",
      setup.listen,
      "--target",
      TargetAddress(folder),
      "--state-dir",
      setup.state_dir.empty() ? folder.PathOf("sessions") : setup.state_dir,
      "--drain-timeout-ms",
      kDrainTimeoutMs};
  if (setup.drafts == Drafts::kOne) {
    arguments.insert(arguments.end(), {"--draft", DraftAddress(folder)});
  }
  return arguments;
}

std::vector<std::string> GatewayCommand(const Programs& programs,
                                        const std::string& listen,
                                        const std::string& coordinator) {
  return {programs.gateway, "--listen",  listen,
          "--coordinator",  coordinator, "--drain-timeout-ms",
          kDrainTimeoutMs};
}

}  // namespace tandem::cli
