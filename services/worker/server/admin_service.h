// The WorkerAdminService of proto/tandem/v1/worker_admin.proto: translates
// calls to the model loader. Calls wait in gRPC's threads, of which the admin
// server has few: it is for operators, not for traffic. Each call first asks
// who calls, by certificate and by key: a test walks the methods of the
// descriptor.
//
// Owned by the worker server; any thread.

#ifndef TANDEM_SERVICES_WORKER_SERVER_ADMIN_SERVICE_H_
#define TANDEM_SERVICES_WORKER_SERVER_ADMIN_SERVICE_H_

#include <atomic>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "services/access/caller.h"
#include "services/identity/caller_names.h"
#include "services/worker/models/model_loader.h"
#include "services/worker/models/model_set.h"
#include "tandem/v1/worker_admin.grpc.pb.h"

namespace tandem {

inline constexpr int kUnloadDrainMsMax = 3600000;

class AdminService final : public v1::WorkerAdminService::Service {
 public:
  // All outlive the service. `model_folder`: see FindInModelFolder.
  AdminService(ModelSet* models, ModelLoader* loader, const CallerGate* gate,
               std::string model_folder);

  // Whose calls it takes; before it is registered.
  void SetCallers(AllowedCallers callers) { callers_ = std::move(callers); }
  // The models of the start are there: from now on models may come and go.
  // Until then LoadModel and UnloadModel are refused with WRONG_STATE.
  void TakeRequests() { is_open_.store(true); }

  grpc::Status ListWorkerModels(
      grpc::ServerContext* context, const v1::ListWorkerModelsRequest* request,
      v1::ListWorkerModelsResponse* response) override;
  grpc::Status LoadModel(
      grpc::ServerContext* context, const v1::LoadModelRequest* request,
      grpc::ServerWriter<v1::LoadModelResponse>* writer) override;
  grpc::Status UnloadModel(grpc::ServerContext* context,
                           const v1::UnloadModelRequest* request,
                           v1::UnloadModelResponse* response) override;

 private:
  // Whether the caller may make calls of the method of this name.
  absl::Status Admit(const grpc::ServerContext& context,
                     absl::string_view method) const;

  ModelSet* const models_;
  ModelLoader* const loader_;
  const CallerGate* const gate_;
  const std::string model_folder_;
  std::atomic<bool> is_open_{false};
  AllowedCallers callers_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SERVER_ADMIN_SERVICE_H_
