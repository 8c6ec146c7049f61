// Models by id: from a file or from bytes, loaded once, cached, shared. Thread
// safe; a Get while another thread loads the same model waits for it.
//
// A layer above may keep things with a store that hold its models (engines do):
// a ModelStoreCompanion.

#ifndef TANDEM_ENGINE_MODEL_MODEL_STORE_H_
#define TANDEM_ENGINE_MODEL_MODEL_STORE_H_

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

// What a layer above keeps with a store. Owned by it. Called from any thread,
// without the store's lock.
class ModelStoreCompanion {
 public:
  virtual ~ModelStoreCompanion() = default;

  // Lets go of the model `id`, which the store has forgotten, as soon as nobody
  // uses it.
  virtual void OnRemoved(absl::string_view id) = 0;
};

class ModelStore {
 public:
  ModelStore();
  ~ModelStore();

  // Makes a model known; nothing is loaded yet. Errors: ALREADY_EXISTS, or
  // INVALID_ARGUMENT for an id that is empty or longer than 256 bytes.
  absl::Status AddFile(absl::string_view id, const std::string& path,
                       const ModelOptions& options = {});
  absl::Status AddBytes(absl::string_view id, std::string bytes,
                        const ModelOptions& options = {});

  // The model, loaded at the first call. Errors: NOT_FOUND with UNKNOWN_MODEL;
  // as Model::Load (kept: a model that failed fails again until removed).
  absl::StatusOr<std::shared_ptr<const Model>> Get(absl::string_view id);

  // Forgets the model; holders keep theirs. Errors: NOT_FOUND.
  absl::Status Remove(absl::string_view id);

  // The store's companion, made by the first call, by `make`; it ends before
  // the models. Every caller has the same `make`.
  ModelStoreCompanion& Companion(
      std::unique_ptr<ModelStoreCompanion> (*make)());

  std::vector<std::string> Ids() const;

 private:
  struct Entry;

  absl::Status Add(absl::string_view id, Entry entry);

  mutable absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<Entry>> entries_
      ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<ModelStoreCompanion> companion_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tandem

#endif  // TANDEM_ENGINE_MODEL_MODEL_STORE_H_
