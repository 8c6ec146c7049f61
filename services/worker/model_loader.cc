#include "services/worker/model_loader.h"

#include <spdlog/spdlog.h>

#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/error_reason.h"

namespace tandem {

std::string ModelIdOf(const ModelSpec& spec) {
  return spec.id.empty() ? std::filesystem::path(spec.path).stem().string()
                         : spec.id;
}

ModelLoader::ModelLoader(const ModelLoaderOptions& options, ModelSet* models)
    : options_(options),
      models_(models),
      store_({.weight_bytes_max = options.weight_bytes_max}) {}

bool ModelLoader::is_loading() const {
  absl::MutexLock lock(&mutex_);
  return is_loading_;
}

absl::Status ModelLoader::Load(const ModelSpec& spec,
                               const std::function<void(double)>& progress) {
  {
    absl::MutexLock lock(&mutex_);
    if (is_loading_) {
      return MakeError(absl::StatusCode::kFailedPrecondition,
                       {.reason = kReasonWrongState, .violations = {}},
                       "another model is being loaded; try again later");
    }
    is_loading_ = true;
  }
  const absl::Status status = LoadAlone(spec, progress);
  absl::MutexLock lock(&mutex_);
  is_loading_ = false;
  return status;
}

absl::Status ModelLoader::LoadAlone(
    const ModelSpec& spec, const std::function<void(double)>& progress) {
  const absl::Time began = absl::Now();
  const std::string id = ModelIdOf(spec);
  if (models_->Has(id)) {
    return absl::AlreadyExistsError(
        absl::StrCat("the model \"", id, "\" is loaded already"));
  }
  ModelOptions model_options = options_.model;
  model_options.sha256 = spec.sha256;
  model_options.progress = progress;
  TANDEM_RETURN_IF_ERROR(store_.AddFile(id, spec.path, model_options));
  absl::StatusOr<std::shared_ptr<const Model>> model = Get(id);
  absl::Status status = model.status();
  if (status.ok()) status = Serve(id, *std::move(model));
  if (!status.ok()) {
    store_.Remove(id).IgnoreError();  // it is there
    return status;
  }
  spdlog::info("model {} was loaded in {} ms", id,
               absl::ToInt64Milliseconds(absl::Now() - began));
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Model>> ModelLoader::Get(
    const std::string& id) {
  while (true) {
    absl::StatusOr<std::shared_ptr<const Model>> model = store_.Get(id);
    if (!absl::IsResourceExhausted(model.status())) return model;
    const std::optional<std::string> evicted = models_->RemoveIdle();
    if (!evicted.has_value()) return model;
    spdlog::info("model {} was unloaded to make room for {}", *evicted, id);
    store_.Remove(*evicted).IgnoreError();  // not there: served from elsewhere
  }
}

absl::Status ModelLoader::Serve(const std::string& id,
                                std::shared_ptr<const Model> model) {
  WorkerModelParts parts;
  if (!options_.compute_turn.empty()) {
    TANDEM_ASSIGN_OR_RETURN(
        parts.turn, ComputeTurn::Open(options_.compute_turn,
                                      options_.role == v1::WORKER_ROLE_DRAFT
                                          ? ComputeTurn::Role::kDrafter
                                          : ComputeTurn::Role::kTarget));
  }
  TANDEM_ASSIGN_OR_RETURN(parts.engine, Engine::Load(model, options_.engine));
  parts.streams_max = options_.engine.sequences_max;
  parts.queue_max = options_.queue_max;
  const EngineInfo& engine = parts.engine->info();
  parts.info = {
      .role = options_.role,
      .model_id = id,
      .fingerprint = engine.fingerprint,
      .vocabulary_fingerprint = model->tokenizer().vocabulary_fingerprint(),
      .numerics = std::string(NumericsModeName(model->numerics())),
      .context_max = engine.context_max,
      .vocab_size = engine.vocab_size,
      .weight_bytes = model->weight_bytes()};
  parts.tokenizer_image = model->tokenizer_image();
  spdlog::info("model {}: {}, {} KiB of weights, context {}, fingerprint {}",
               id, parts.info.numerics, parts.info.weight_bytes >> 10,
               parts.info.context_max, parts.info.fingerprint);
  return models_->Add(std::move(parts));
}

absl::Status ModelLoader::Unload(const std::string& id, absl::Duration drain) {
  TANDEM_RETURN_IF_ERROR(models_->Remove(id, drain));
  store_.Remove(id).IgnoreError();  // not there: served from elsewhere
  spdlog::info("model {} was unloaded", id);
  return absl::OkStatus();
}

}  // namespace tandem
