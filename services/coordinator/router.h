// Picks workers for turns: by model and fingerprint, then by load. Owned by the
// server; any thread may call.

#ifndef TANDEM_SERVICES_COORDINATOR_ROUTER_H_
#define TANDEM_SERVICES_COORDINATOR_ROUTER_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "services/coordinator/worker_link.h"
#include "services/coordinator/worker_pool.h"

namespace tandem {

// The least loaded usable target that fits, or nothing.
std::optional<WorkerChoice> ChooseTarget(const std::vector<WorkerInfo>& workers,
                                         const TargetQuery& query);
// The least loaded usable drafter that fits, or nothing.
std::optional<WorkerChoice> ChooseDrafter(
    const std::vector<WorkerInfo>& workers, const DrafterQuery& query);

// A model that can be asked for now.
struct ModelSummary {
  std::string model_id;
  std::string fingerprint;
  std::string vocabulary_fingerprint;
  std::string numerics;
  Position context_max = 0;
  int vocab_size = 0;
  std::shared_ptr<const Tokenizer> tokenizer;
  int target_workers = 0;
  int draft_workers = 0;
};

// In the order of their ids.
std::vector<ModelSummary> SummarizeModels(
    const std::vector<WorkerInfo>& workers);

// The model that a request means. `model_id` may be empty where there is one
// model. Errors: NOT_FOUND with UNKNOWN_MODEL (no worker has had it),
// INVALID_ARGUMENT with UNKNOWN_MODEL (empty, and there are several),
// UNAVAILABLE with NO_WORKER (its workers are gone, or none came yet).
absl::StatusOr<ModelSummary> ResolveModel(
    const std::vector<WorkerInfo>& workers, const std::string& model_id);

class Router : public WorkerDirectory {
 public:
  // Where the workers stand; a WorkerPool's Workers.
  using Snapshot = std::function<std::vector<WorkerInfo>()>;
  explicit Router(Snapshot workers) : workers_(std::move(workers)) {}

  std::optional<WorkerChoice> PickTarget(const TargetQuery& query) override {
    return ChooseTarget(workers_(), query);
  }
  std::optional<WorkerChoice> PickDrafter(const DrafterQuery& query) override {
    return ChooseDrafter(workers_(), query);
  }
  std::vector<ModelSummary> Models() const {
    return SummarizeModels(workers_());
  }
  absl::StatusOr<ModelSummary> FindModel(const std::string& model_id) const {
    return ResolveModel(workers_(), model_id);
  }
  // True where a turn can be started.
  bool HasTarget() const { return !Models().empty(); }

 private:
  const Snapshot workers_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_ROUTER_H_
