// The CoordinatorAdminService of proto/tandem/v1/coordinator_admin.proto: what
// an operator asks. It reads counters and a snapshot of the workers on gRPC's
// threads; the event loop has no part in it.
//
// Owned by the server; gRPC's threads call.

#ifndef TANDEM_SERVICES_COORDINATOR_SERVER_COORDINATOR_ADMIN_SERVICE_H_
#define TANDEM_SERVICES_COORDINATOR_SERVER_COORDINATOR_ADMIN_SERVICE_H_

#include <grpcpp/support/server_callback.h>

#include <vector>

#include "absl/time/time.h"
#include "services/access/caller.h"
#include "services/coordinator/client/client_stream.h"
#include "services/coordinator/server/coordinator_metrics.h"
#include "services/coordinator/workers/worker_condition.h"
#include "services/coordinator/workers/worker_pool.h"
#include "tandem/v1/coordinator_admin.grpc.pb.h"

namespace tandem {

// Adds `conditions` to `response`: targets first, then by address and model.
// `table`, of about the same moment, knows which targets have drafters.
void AddWorkers(std::vector<WorkerCondition> conditions,
                const WorkerTable& table, v1::GetStatusResponse* response);

class CoordinatorAdminService final
    : public v1::CoordinatorAdminService::CallbackService {
 public:
  // What it reports of; all outlive the service.
  struct Sources {
    const ClientServices* services = nullptr;
    const WorkerPool* pool = nullptr;
    const CoordinatorMetrics* metrics = nullptr;
    const CallerGate* gate = nullptr;
  };
  explicit CoordinatorAdminService(const Sources& sources);

  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const v1::GetStatusRequest* request,
                                      v1::GetStatusResponse* response) override;

 private:
  const Sources sources_;
  const absl::Time started_;  // of MonotonicNow
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_SERVER_COORDINATOR_ADMIN_SERVICE_H_
