// Loads models into a worker's set and takes them out, within the memory of the
// machine (memory_account.h) and a bound on that of their weights. With that
// bound, what a load needs is taken from models that nobody uses, the least
// recently used first; these have to be loaded again by name.
//
// Owned by the worker server. Any thread; Load takes as long as the model.

#ifndef TANDEM_SERVICES_WORKER_MODELS_MODEL_LOADER_H_
#define TANDEM_SERVICES_WORKER_MODELS_MODEL_LOADER_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/status.h"
#include "engine/engine.h"
#include "engine/model/memory_account.h"
#include "engine/model/model.h"
#include "engine/model/model_store.h"
#include "services/worker/models/model_set.h"

namespace tandem {

// A model to load.
struct ModelSpec {
  std::string id;  // empty: the file's name, without its ending
  std::string path;
  // As ModelOptions::sha256.
  std::vector<std::string> sha256 = {};
};

// What all models of a worker have in common.
struct ModelLoaderOptions {
  v1::WorkerRole role = v1::WORKER_ROLE_TARGET;
  ModelOptions model;
  EngineOptions engine;
  std::string compute_turn;  // empty: no turns
  int queue_max = 1024;
  // Weights of all models together, in bytes; 0: no bound. The KV cache of
  // each (EngineOptions::kv_tokens) comes on top.
  int64_t weight_bytes_max = 0;
  MemoryAccountOptions memory;
};

class ModelLoader {
 public:
  // `models` outlives the loader.
  ModelLoader(const ModelLoaderOptions& options, ModelSet* models);

  // Plans the memory of models that are going to be loaded, so that each gets
  // its part; a model that nobody has planned for is planned alone. Reads no
  // weights. Errors: as GgufFile::Open, NeedsOf and MemoryAccount::Take.
  absl::Status Plan(const std::vector<ModelSpec>& specs);

  // Loads the model and adds it to the set. `progress` (may be empty) is called
  // on this thread or on one of the loading team with 0 .. 1. Errors:
  // FAILED_PRECONDITION with WRONG_STATE (another load is under way, or this
  // model is being unloaded), ALREADY_EXISTS, INVALID_ARGUMENT (the id); as
  // Plan, Model::Load, ModelStore::Get, Engine::Load and ComputeTurn::Open.
  absl::Status Load(const ModelSpec& spec,
                    const std::function<void(double)>& progress);
  // As ModelSet::Remove; the weights are freed. While it waits for streams,
  // other models can be loaded and unloaded.
  absl::Status Unload(const std::string& id, absl::Duration drain);

  // A load is under way.
  bool is_loading() const;
  // Of the models that are loaded, and of the one that is being loaded.
  int64_t weight_bytes() const { return store_.weight_bytes(); }
  int64_t weight_bytes_max() const { return options_.weight_bytes_max; }

 private:
  absl::Status LoadAlone(const ModelSpec& spec,
                         const std::function<void(double)>& progress);
  // The model from the store, which makes room for it.
  absl::StatusOr<std::shared_ptr<const Model>> Get(const std::string& id);
  // KV tokens of the model; plans it alone, where nobody has planned it, and
  // makes room for it.
  absl::StatusOr<int64_t> PlanAlone(const ModelSpec& spec);
  // What Plan has planned for the model, once; nothing: it has not.
  std::optional<int64_t> TakePlanned(const std::string& id);
  // Takes out the model that nobody uses, where there is one, for `id`.
  bool MakeRoom(const std::string& id);
  absl::Status Serve(const std::string& id, std::shared_ptr<const Model> model,
                     int64_t kv_tokens);
  // The model is not there, or no longer.
  void Forget(const std::string& id);

  const ModelLoaderOptions options_;
  ModelSet* const models_;
  ModelStore store_;
  MemoryAccount memory_;
  mutable absl::Mutex mutex_;
  bool is_loading_ ABSL_GUARDED_BY(mutex_) = false;
  // Models that are being unloaded, each by one call: they are not loaded
  // before the store and the account have forgotten them.
  std::set<std::string> unloading_ ABSL_GUARDED_BY(mutex_);
  // KV tokens of models that are planned and not loaded yet.
  std::map<std::string, int64_t> planned_ ABSL_GUARDED_BY(mutex_);
};

// The id that `spec` stands for.
std::string ModelIdOf(const ModelSpec& spec);

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_MODELS_MODEL_LOADER_H_
