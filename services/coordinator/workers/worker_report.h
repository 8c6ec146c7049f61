// What a worker's Watch report says of each of its models, as the router and
// the turns use it. A pure function; any thread.

#ifndef TANDEM_SERVICES_COORDINATOR_WORKERS_WORKER_REPORT_H_
#define TANDEM_SERVICES_COORDINATOR_WORKERS_WORKER_REPORT_H_

#include <memory>
#include <string>
#include <vector>

#include "services/coordinator/turn/load_tracker.h"
#include "services/coordinator/turn/worker_link.h"
#include "tandem/v1/worker.pb.h"

namespace tandem {

// Models of one worker; more are not used.
inline constexpr int kWorkerModelsMax = 64;

struct ModelReport {
  std::string model_id;
  WorkerLoad load;
  std::shared_ptr<const WorkerCosts> costs;  // never null
};

// In the report's order, kWorkerModelsMax at most. A worker says
// what it likes: counts below zero are zero, and those that no worker reaches
// are cut; step costs whose rows do not ascend or whose time is below zero are
// left out.
std::vector<ModelReport> ReadReport(const v1::WatchResponse& report);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_WORKERS_WORKER_REPORT_H_
