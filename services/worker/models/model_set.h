// The models that a worker serves, each with its compute loop. Streams take a
// model for as long as they use it; one that nobody uses can be removed.
//
// Owned by the worker's service, which outlives all streams. Any thread; no
// function but Remove waits.

#ifndef TANDEM_SERVICES_WORKER_MODELS_MODEL_SET_H_
#define TANDEM_SERVICES_WORKER_MODELS_MODEL_SET_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/status.h"
#include "engine/engine.h"
#include "services/worker/models/worker_model_info.h"
#include "services/worker/schedule/compute_loop.h"
#include "services/worker/schedule/compute_turn.h"
#include "services/worker/schedule/step_turn.h"

namespace tandem {

struct WorkerModelParts {
  WorkerModelInfo info;
  std::string tokenizer_image;  // a GGUF that holds the metadata only
  std::unique_ptr<Engine> engine;
  std::unique_ptr<ComputeTurn> turn;  // may be null
  int streams_max = 1024;
  int queue_max = 1024;
};

// A model in the set; stays where it is until it is removed.
struct ServedModel {
  WorkerModelInfo info;
  std::string tokenizer_image;
  std::unique_ptr<ComputeLoop> loop;
};

// What is told of a model.
struct ServedModelState {
  WorkerModelInfo info;
  ComputeLoad load;
  int users = 0;
  bool leaving = false;
};

class ModelSet {
 public:
  // `on_changed` is called on any thread, with no lock held, when a model's
  // load or the set has changed; `on_step` (may be empty) as
  // ComputeLoopOptions::on_step, by several threads.
  explicit ModelSet(std::function<void()> on_changed,
                    std::function<void(const StepReport&)> on_step = {});
  // Nobody uses a model any more.
  ~ModelSet();

  ModelSet(const ModelSet&) = delete;
  ModelSet& operator=(const ModelSet&) = delete;

  // Errors: ALREADY_EXISTS.
  absl::Status Add(WorkerModelParts parts);
  bool Has(absl::string_view id) const;

  // The model `id`, or the only one where `id` is empty; it stays until
  // Release. Errors: NOT_FOUND with UNKNOWN_MODEL, INVALID_ARGUMENT with the
  // same (no id, and several models), UNAVAILABLE with DRAINING (it is
  // leaving).
  absl::StatusOr<const ServedModel*> Use(absl::string_view id);
  void Release(const ServedModel* model);

  // Takes the model out, when nobody uses it any more; waits for that at most
  // `drain`, and lets nobody new use it meanwhile. Errors: NOT_FOUND with
  // UNKNOWN_MODEL; FAILED_PRECONDITION with WRONG_STATE (still in use: it
  // stays, or it is leaving already).
  absl::Status Remove(absl::string_view id, absl::Duration drain);
  // Takes out the model that nobody uses and that was used least recently; its
  // id, or nothing where all are in use.
  std::optional<std::string> RemoveIdle();

  // In the order of adding.
  std::vector<ServedModelState> States() const;
  // Raised with each model that comes or goes.
  uint64_t generation() const;
  // ComputeLoop::IsStalled of any.
  bool IsStalled(absl::Duration limit) const;

 private:
  struct Entry {
    ServedModel model;
    int users = 0;
    bool leaving = false;
    uint64_t last_use = 0;
  };
  using Entries = std::vector<std::unique_ptr<Entry>>;

  Entries::const_iterator Find(absl::string_view id) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // Takes the entry out; the caller destroys it without the lock.
  std::unique_ptr<Entry> TakeOut(absl::string_view id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::function<void()> on_changed_;
  const std::function<void(const StepReport&)> on_step_;
  StepTurn turn_;  // outlives the loops
  mutable absl::Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t uses_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_MODELS_MODEL_SET_H_
