#include "services/worker/server/admin_service.h"

#include <spdlog/spdlog.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/status_conversion.h"
#include "services/worker/models/model_folder.h"

namespace tandem {
namespace {

// Progress is reported in steps of this.
constexpr double kProgressStep = 0.01;

absl::Status Starting() {
  return WrongState(
      "the worker is loading the models that it starts with; try again when "
      "it is ready");
}

v1::LoadedModel ToProto(const ServedModelState& state) {
  v1::LoadedModel loaded;
  FillProto(state.info, loaded.mutable_model());
  loaded.set_weight_bytes(state.info.weight_bytes);
  loaded.set_streams_open(state.load.streams_open);
  loaded.set_unloading(state.leaving);
  return loaded;
}

}  // namespace

AdminService::AdminService(ModelSet* models, ModelLoader* loader,
                           const CallerGate* gate, std::string model_folder)
    : models_(models),
      loader_(loader),
      gate_(gate),
      model_folder_(std::move(model_folder)) {}

absl::Status AdminService::Admit(const grpc::ServerContext& context,
                                 absl::string_view method) const {
  TANDEM_RETURN_IF_ERROR(callers_.Check(context));
  return gate_
      ->Admit(context,
              absl::StrCat("/", v1::WorkerAdminService::service_full_name(),
                           "/", method))
      .status();
}

grpc::Status AdminService::ListWorkerModels(
    grpc::ServerContext* context, const v1::ListWorkerModelsRequest*,
    v1::ListWorkerModelsResponse* response) {
  const absl::Status admitted = Admit(*context, "ListWorkerModels");
  if (!admitted.ok()) return ToGrpcStatus(admitted);
  response->set_models_generation(models_->generation());
  for (const ServedModelState& state : models_->States()) {
    *response->add_models() = ToProto(state);
  }
  response->set_weight_bytes(models_->weight_bytes());
  response->set_weight_bytes_max(models_->weight_bytes_max());
  return grpc::Status::OK;
}

grpc::Status AdminService::LoadModel(
    grpc::ServerContext* context, const v1::LoadModelRequest* request,
    grpc::ServerWriter<v1::LoadModelResponse>* writer) {
  const absl::Status admitted = Admit(*context, "LoadModel");
  if (!admitted.ok()) return ToGrpcStatus(admitted);
  if (!is_open_.load()) return ToGrpcStatus(Starting());
  absl::StatusOr<std::string> path =
      FindInModelFolder(model_folder_, request->path());
  if (!path.ok()) return ToGrpcStatus(path.status());
  // Links are followed: the id comes from the name that was given.
  const std::string id =
      ModelIdOf({.id = request->model_id(), .path = request->path()});
  const ModelSpec spec = {
      .id = id,
      .path = *std::move(path),
      .sha256 = {request->sha256().begin(), request->sha256().end()}};
  const auto report = [writer, sent = 0.0](double progress) mutable {
    if (progress < sent + kProgressStep) return;
    sent = progress;
    v1::LoadModelResponse response;
    response.set_progress(progress);
    writer->Write(response);  // a client that is gone misses it
  };
  if (const absl::Status status = loader_->Load(spec, report); !status.ok()) {
    spdlog::warn("model {} was not loaded: {}", id,
                 std::string(status.message()));
    return ToGrpcStatus(WithFileNames(status, spec.path));
  }
  for (const ServedModelState& state : models_->States()) {
    if (state.info.model_id != id) continue;
    v1::LoadModelResponse response;
    *response.mutable_loaded() = ToProto(state);
    writer->Write(response);
  }
  return grpc::Status::OK;
}

grpc::Status AdminService::UnloadModel(grpc::ServerContext* context,
                                       const v1::UnloadModelRequest* request,
                                       v1::UnloadModelResponse*) {
  const absl::Status admitted = Admit(*context, "UnloadModel");
  if (!admitted.ok()) return ToGrpcStatus(admitted);
  if (!is_open_.load()) return ToGrpcStatus(Starting());
  const int drain_ms = request->drain_timeout_ms();
  if (drain_ms < 0 || drain_ms > kUnloadDrainMsMax) {
    const std::string what =
        absl::StrCat("must be in [0, ", kUnloadDrainMsMax, "], is ", drain_ms);
    return ToGrpcStatus(InvalidField("drain_timeout_ms", what));
  }
  return ToGrpcStatus(
      models_->Remove(request->model_id(), absl::Milliseconds(drain_ms)));
}

}  // namespace tandem
