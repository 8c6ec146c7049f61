// The models of a worker by id: what each takes of the machine, its compute
// loop, and who uses it. A model is loading (one at a time), served, or
// leaving; nothing else in the worker knows models by id.
//
// Streams use a model for as long as they need it; a model that nobody uses can
// be removed. With a bound on the weights of all models together a load that
// needs more removes models that no stream uses, the least recently used first.
// The machine's memory is planned beside that (memory_account.h).
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
#include "absl/types/span.h"
#include "engine/base/monotonic_clock.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "engine/engine.h"
#include "engine/model/memory_account.h"
#include "services/worker/schedule/compute_loop.h"
#include "services/worker/schedule/loop_order.h"
#include "tandem/v1/worker.pb.h"

namespace tandem {

// What a worker reports of a model: plain values, so that the service needs no
// model to be tested.
struct WorkerModelInfo {
  v1::WorkerRole role = v1::WORKER_ROLE_TARGET;
  std::string model_id;
  std::string fingerprint;
  std::string vocabulary_fingerprint;
  std::string numerics;  // NumericsModeName
  Position context_max = 0;
  int vocab_size = 0;
  int64_t weight_bytes = 0;  // in memory
  bool takes_turns = false;  // with other processes on the same cores
};

void FillProto(const WorkerModelInfo& info, v1::WorkerModel* model);

struct WorkerModelParts {
  WorkerModelInfo info;
  std::string tokenizer_image;  // a GGUF that holds the metadata only
  std::unique_ptr<Engine> engine;
  ComputeLoopOptions loop;  // what the set does not add itself
};

// What the models of a worker may take.
struct ModelBounds {
  // Weights of all models together, in bytes; 0: no bound. The KV cache of each
  // comes on top.
  int64_t weight_bytes_max = 0;
  MemoryAccountOptions memory = {};
};

// A model in the set; stays where it is until it is removed.
struct ServedModel {
  WorkerModelInfo info;
  std::string tokenizer_image;
  std::unique_ptr<ComputeLoop> loop;
};

// A model that is served, now.
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
                    std::function<void(const StepReport&)> on_step = {},
                    const ModelBounds& bounds = {});
  // Nobody uses a model any more.
  ~ModelSet();

  ModelSet(const ModelSet&) = delete;
  ModelSet& operator=(const ModelSet&) = delete;

  // Plans the memory of models that are going to be loaded, together, so that
  // each gets its part, and takes it until they are gone. Errors: as
  // MemoryAccount::Take, where no model can be removed for them.
  absl::StatusOr<MemoryPlan> TakeMemory(absl::Span<const ModelNeeds> needs);

  // A load. BeginLoad reserves the id; EndLoad follows, with the model or with
  // the reason why there is none, which is returned and frees what was taken.
  // Errors: INVALID_ARGUMENT (as CheckModelId);
  // FAILED_PRECONDITION with WRONG_STATE (another load is under way, or this
  // model is leaving); ALREADY_EXISTS.
  absl::Status BeginLoad(const std::string& id);
  // The weights of the model that is loading count for `bytes` from now on.
  // Idle models are removed for it. Errors: RESOURCE_EXHAUSTED with EXHAUSTED
  // (the models in use leave too little of the bound; no model was removed).
  absl::Status ReserveWeights(int64_t bytes);
  absl::Status EndLoad(absl::StatusOr<WorkerModelParts> parts);
  bool is_loading() const;

  // A model that is there without a load. Errors: ALREADY_EXISTS.
  absl::Status Add(WorkerModelParts parts);

  // The model `id`, or the only one where `id` is empty; it stays until
  // Release. Errors: NOT_FOUND with UNKNOWN_MODEL, INVALID_ARGUMENT with the
  // same (no id, and several models), UNAVAILABLE with DRAINING (it is
  // leaving).
  absl::StatusOr<const ServedModel*> Use(absl::string_view id);
  void Release(const ServedModel* model);

  // Takes the model out, when nobody uses it any more; waits for that at most
  // `drain`, and lets nobody new use it meanwhile. Its memory is free then.
  // Errors: NOT_FOUND with UNKNOWN_MODEL; FAILED_PRECONDITION with WRONG_STATE
  // (still in use: it stays, or it is leaving already).
  absl::Status Remove(absl::string_view id, absl::Duration drain);

  // In the order of adding.
  std::vector<ServedModelState> States() const;
  // Raised with each model that comes, goes, begins to leave or stays after
  // all: whoever describes the set leaves out models that are leaving. Begins
  // with a number that is drawn, so that a worker which was started again is
  // known for another one.
  uint64_t generation() const;
  // ComputeLoop::IsStalled of any.
  bool IsStalled(absl::Duration limit) const;
  // Weights of the models that are served and of the one that is loading.
  int64_t weight_bytes() const;
  int64_t weight_bytes_max() const { return bounds_.weight_bytes_max; }

 private:
  struct Entry {
    ServedModel model;  // its loop is null where it is being destroyed
    int users = 0;
    bool leaving = false;
    uint64_t last_use = 0;

    bool IsIdle() const { return users == 0 && !leaving; }
  };
  using Entries = std::vector<std::unique_ptr<Entry>>;

  Entries::const_iterator Find(absl::string_view id) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  int64_t WeightBytes() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  // Removes the least recently used model that nobody uses; false: there is
  // none.
  bool EvictIdle();
  void SetLeaving(Entry* entry, bool leaving)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Destroys a model that is leaving and has no users.
  void Destroy(Entry* entry);

  const std::function<void()> on_changed_;
  const std::function<void(const StepReport&)> on_step_;
  const ModelBounds bounds_;
  MemoryAccount memory_;
  LoopOrder loop_order_;  // outlives the loops
  TimedWait released_;    // Remove waits for it
  mutable absl::Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);
  std::string loading_ ABSL_GUARDED_BY(mutex_);  // empty: none
  int64_t loading_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t generation_ ABSL_GUARDED_BY(mutex_);
  uint64_t uses_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_MODELS_MODEL_SET_H_
