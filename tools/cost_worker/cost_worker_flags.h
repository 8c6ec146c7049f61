// The command line of tandem-cost-worker.

#ifndef TANDEM_TOOLS_COST_WORKER_COST_WORKER_FLAGS_H_
#define TANDEM_TOOLS_COST_WORKER_COST_WORKER_FLAGS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "services/common/server_flags.h"
#include "tandem/v1/worker.pb.h"
#include "tools/cost_worker/cost_engine.h"

namespace tandem::bench {

inline constexpr char kCostWorkerProgram[] = "tandem-cost-worker";
inline constexpr char kCostWorkerListenDefault[] = "127.0.0.1:7071";
// A pass of a minute is a stuck one: a worker is not ready then.
inline constexpr int64_t kStepUsMax = 60000000;

struct CostWorkerOptions {
  ServerFlags server;
  v1::WorkerRole role = v1::WORKER_ROLE_TARGET;
  std::string vocabulary_path;
  std::string model_id = "cost";
  CostEngineOptions engine;
};

// Parses flags, environment and config file into `options`. Nothing where the
// program goes on, else its exit code (server_flags.h).
std::optional<int> ParseCostWorkerFlags(int argc, const char* const* argv,
                                        CostWorkerOptions* options);

}  // namespace tandem::bench

#endif  // TANDEM_TOOLS_COST_WORKER_COST_WORKER_FLAGS_H_
