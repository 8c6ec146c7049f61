// What a worker says, as the router and the turns use it: its Watch reports of
// each of its models, and its answers on a Decode stream. Any thread.

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

// Calls what `response` is for `events`, as it came over the wire; nothing for
// one of a newer worker, which nobody asked for. `events` may be gone after it.
void DeliverResponse(const v1::DecodeResponse& response,
                     WorkerStreamEvents* events);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_WORKERS_WORKER_REPORT_H_
