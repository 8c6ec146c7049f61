// Loads models: from a file to an engine that a model set serves
// (model_set.h).
//
// Owned by the worker server. Any thread; Load takes as long as the model.

#ifndef TANDEM_SERVICES_WORKER_MODELS_MODEL_LOADER_H_
#define TANDEM_SERVICES_WORKER_MODELS_MODEL_LOADER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/engine.h"
#include "engine/model/model.h"
#include "services/worker/models/model_set.h"
#include "services/worker/schedule/compute_loop.h"

namespace tandem {

// A model to load.
struct ModelSpec {
  std::string id;  // empty: the file's name, without its ending
  std::string path;
  // As ModelOptions::sha256.
  std::vector<std::string> sha256 = {};
  // By Plan; 0: Load plans the model alone.
  int64_t kv_tokens = 0;
};

// What all models of a worker have in common.
struct ModelLoaderOptions {
  v1::WorkerRole role = v1::WORKER_ROLE_TARGET;
  ModelOptions model;
  EngineOptions engine;
  std::string compute_turn;  // the file of the ProcessorLock; empty: none
  int queue_max = 1024;
  double tenant_kv_share = kTenantKvShare;  // as ComputeLoopOptions
};

class ModelLoader {
 public:
  // `models` outlives the loader.
  ModelLoader(const ModelLoaderOptions& options, ModelSet* models)
      : options_(options), models_(models) {}

  // Plans the memory of models that are going to be loaded together. Reads no
  // weights. Errors: as GgufFile::Open, NeedsOf and ModelSet::TakeMemory.
  absl::Status Plan(std::vector<ModelSpec>* specs);

  // Loads the model and adds it to the set. `progress` (may be empty) is called
  // on this thread or on one of the loading team with 0 .. 1. Errors: as
  // ModelSet::BeginLoad and ReserveWeights, Plan, Model::Load, Engine::Load and
  // ProcessorLock::Open.
  absl::Status Load(const ModelSpec& spec,
                    const std::function<void(double)>& progress);

 private:
  // Takes the memory and logs what was chosen.
  absl::StatusOr<MemoryPlan> TakeMemory(absl::Span<const ModelNeeds> needs);
  absl::StatusOr<WorkerModelParts> Make(
      const ModelSpec& spec, const std::function<void(double)>& progress);

  const ModelLoaderOptions options_;
  ModelSet* const models_;
};

// The id that `spec` stands for.
std::string ModelIdOf(const ModelSpec& spec);

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_MODELS_MODEL_LOADER_H_
