// The WorkerAdminService of proto/tandem/v1/worker_admin.proto: translates
// calls to the model loader. Calls wait in gRPC's threads, of which the admin
// server has few: it is for operators, not for traffic.
//
// Owned by the worker server; any thread.

#ifndef TANDEM_SERVICES_WORKER_SERVER_ADMIN_SERVICE_H_
#define TANDEM_SERVICES_WORKER_SERVER_ADMIN_SERVICE_H_

#include <string>

#include "services/worker/models/model_loader.h"
#include "services/worker/models/model_set.h"
#include "tandem/v1/worker_admin.grpc.pb.h"

namespace tandem {

inline constexpr int kUnloadDrainMsMax = 3600000;

class AdminService final : public v1::WorkerAdminService::Service {
 public:
  // Both outlive the service. `model_folder`: see FindInModelFolder.
  AdminService(ModelSet* models, ModelLoader* loader, std::string model_folder);

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
  ModelSet* const models_;
  ModelLoader* const loader_;
  const std::string model_folder_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SERVER_ADMIN_SERVICE_H_
