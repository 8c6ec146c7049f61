// Which programs one machine runs for a model, and with which flags. Pure, but
// for FindPrograms, which looks them up; any thread.

#ifndef TANDEM_TOOLS_TANDEM_UP_SERVICE_COMMANDS_H_
#define TANDEM_TOOLS_TANDEM_UP_SERVICE_COMMANDS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tools/tandem/up/runtime_folder.h"

namespace tandem::cli {

// Names of the programs in the log and in messages.
inline constexpr char kTargetName[] = "target worker";
inline constexpr char kDraftName[] = "draft worker";
inline constexpr char kCoordinatorName[] = "coordinator";
inline constexpr char kGatewayName[] = "gateway";

// Paths; an empty one is not there.
struct Programs {
  std::string worker;
  std::string coordinator;
  std::string gateway;
};

// Those beside `self`, the path of this program. Errors: NOT_FOUND where the
// worker or the coordinator is missing; the gateway may be.
absl::StatusOr<Programs> FindPrograms(const std::string& self);

struct WorkerCommand {
  std::string model;      // path
  int64_t kv_tokens = 0;  // 0: what fits
};
// A worker at a socket of `folder`, which takes turns with the other one.
std::vector<std::string> TargetCommand(const Programs& programs,
                                       const RuntimeFolder& folder,
                                       const WorkerCommand& worker);
std::vector<std::string> DraftCommand(const Programs& programs,
                                      const RuntimeFolder& folder,
                                      const WorkerCommand& worker);
std::string TargetAddress(const RuntimeFolder& folder);
std::string DraftAddress(const RuntimeFolder& folder);

enum class Drafts { kNone, kOne };
struct CoordinatorSetup {
  std::string listen;  // address
  Drafts drafts = Drafts::kNone;
  // Folder of the sessions; empty: one in the private folder, which ends with
  // the run.
  std::string state_dir = {};
};
std::vector<std::string> CoordinatorCommand(const Programs& programs,
                                            const RuntimeFolder& folder,
                                            const CoordinatorSetup& setup);
// A gateway to the coordinator at `coordinator`.
std::vector<std::string> GatewayCommand(const Programs& programs,
                                        const std::string& listen,
                                        const std::string& coordinator);

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_UP_SERVICE_COMMANDS_H_
