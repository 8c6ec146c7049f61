// The CoordinatorAdminService of proto/tandem/v1/coordinator_admin.proto: what
// an operator asks. For GetStatus it reads counters and a snapshot of the
// workers on gRPC's threads; the calls about sessions are answered by threads
// of the store and by the event loop. No call waits.
//
// Owned by the server; gRPC's threads call.

#ifndef TANDEM_SERVICES_COORDINATOR_SERVER_COORDINATOR_ADMIN_SERVICE_H_
#define TANDEM_SERVICES_COORDINATOR_SERVER_COORDINATOR_ADMIN_SERVICE_H_

#include <grpcpp/support/server_callback.h>

#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "services/access/caller.h"
#include "services/coordinator/client/client_stream.h"
#include "services/coordinator/server/coordinator_metrics.h"
#include "services/coordinator/server/session_admin.h"
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
    SessionAdmin::Parts sessions = {};
  };
  explicit CoordinatorAdminService(const Sources& sources);

  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const v1::GetStatusRequest* request,
                                      v1::GetStatusResponse* response) override;
  grpc::ServerUnaryReactor* ListSessions(
      grpc::CallbackServerContext* context,
      const v1::ListSessionsRequest* request,
      v1::ListSessionsResponse* response) override;
  grpc::ServerUnaryReactor* ShowSession(
      grpc::CallbackServerContext* context,
      const v1::ShowSessionRequest* request,
      v1::ShowSessionResponse* response) override;
  grpc::ServerUnaryReactor* DeleteSession(
      grpc::CallbackServerContext* context,
      const v1::DeleteSessionRequest* request,
      v1::DeleteSessionResponse* response) override;

 private:
  // A call of `method`: where the caller may make it, `start` begins its work,
  // which ends it.
  grpc::ServerUnaryReactor* Answer(
      grpc::CallbackServerContext* context, absl::string_view method,
      absl::FunctionRef<void(SessionAdmin::Done)> start) const;

  void SetStatus(v1::GetStatusResponse* response) const;

  const Sources sources_;
  const SessionAdmin sessions_;
  const absl::Time started_;  // of MonotonicNow
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_SERVER_COORDINATOR_ADMIN_SERVICE_H_
