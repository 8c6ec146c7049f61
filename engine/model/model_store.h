// Models by id: from a file or from bytes, loaded once, cached, shared. Thread
// safe; a Get while another thread loads the same model waits for it.
//
// A store may have a bound on memory. Then a model that comes in pushes out
// those that nobody but the store holds, the one least recently got first; a
// later Get loads them again. Models from bytes are not pushed out: their bytes
// are gone.
//
// A layer above may keep things with a store that hold its models (engines do):
// a ModelStoreCompanion.

#ifndef TANDEM_ENGINE_MODEL_MODEL_STORE_H_
#define TANDEM_ENGINE_MODEL_MODEL_STORE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/status.h"
#include "engine/model/model.h"

namespace tandem {

struct ModelStoreOptions {
  // Weights of all models of the store together, in bytes; 0: no bound.
  int64_t weight_bytes_max = 0;
};

// What a layer above keeps with a store. Owned by it. Called from any thread,
// without the store's lock.
class ModelStoreCompanion {
 public:
  virtual ~ModelStoreCompanion() = default;

  // Lets go of all models that it holds and nobody uses.
  virtual void ReleaseIdle() = 0;
  // The same of the model `id`, which the store has forgotten.
  virtual void OnRemoved(absl::string_view id) = 0;
};

class ModelStore {
 public:
  explicit ModelStore(const ModelStoreOptions& options = {});
  ~ModelStore();

  // Makes a model known; nothing is loaded yet. Errors: ALREADY_EXISTS, or
  // INVALID_ARGUMENT for an id that is empty or longer than 256 bytes.
  absl::Status AddFile(absl::string_view id, const std::string& path,
                       const ModelOptions& options = {});
  absl::Status AddBytes(absl::string_view id, std::string bytes,
                        const ModelOptions& options = {});

  // The model, loaded at the first call. Errors: NOT_FOUND with UNKNOWN_MODEL;
  // as Model::Load (kept: a model that failed fails again until removed);
  // RESOURCE_EXHAUSTED with EXHAUSTED where the models in use leave too little
  // of the bound (not kept for a file: a later call tries again).
  absl::StatusOr<std::shared_ptr<const Model>> Get(absl::string_view id);

  // Forgets the model; holders keep theirs, and it no longer counts. Errors:
  // NOT_FOUND.
  absl::Status Remove(absl::string_view id);

  // The store's companion, made by the first call, by `make`; it ends before
  // the models. Every caller has the same `make`.
  ModelStoreCompanion& Companion(
      std::unique_ptr<ModelStoreCompanion> (*make)());

  std::vector<std::string> Ids() const;
  // Of the models that are loaded now.
  int64_t weight_bytes() const;

 private:
  struct Entry;
  using Models = std::vector<std::shared_ptr<const Model>>;

  absl::Status Add(absl::string_view id, std::shared_ptr<Entry> entry);
  // Opens and loads what `entry` names; it is marked as loading.
  absl::StatusOr<std::shared_ptr<const Model>> Load(Entry* entry);
  // Has the companion let go of idle models where `bytes` more do not fit.
  void ReleaseCompanion(int64_t bytes) ABSL_LOCKS_EXCLUDED(mutex_);
  // Makes room for `bytes` more. Idle models go to `evicted`, to be freed
  // without the lock.
  absl::Status Reserve(absl::string_view what, int64_t bytes, Models* evicted)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The least recently got model that can go, or nullptr.
  Entry* FindIdle() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ModelStoreOptions options_;
  mutable absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<Entry>> entries_
      ABSL_GUARDED_BY(mutex_);
  int64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;  // loaded, and being loaded
  uint64_t gets_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unique_ptr<ModelStoreCompanion> companion_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_MODEL_MODEL_STORE_H_
