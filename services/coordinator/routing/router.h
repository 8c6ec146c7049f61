// Picks workers for turns: by model and fingerprint, then by the time that the
// turn would take there (placement.h). Owned by the server; the event loop's,
// but for Models, FindModel, HasTarget and prefix_bytes, which any thread may
// call.
//
// In a large pool the router looks only at the workers that may have the
// sequence's KV and at a few drawn at random. So a pick costs the same for any
// number of workers, and coordinators that all see the same loads, up to 100 ms
// old, do not all pick the worker that was the least loaded.

#ifndef TANDEM_SERVICES_COORDINATOR_ROUTING_ROUTER_H_
#define TANDEM_SERVICES_COORDINATOR_ROUTING_ROUTER_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "services/coordinator/routing/prefix_map.h"
#include "services/coordinator/turn/worker_link.h"
#include "services/coordinator/workers/worker_table.h"

namespace tandem {

class Router : public WorkerDirectory {
 public:
  // Workers drawn for one pick. A pool of no more workers is looked at whole,
  // and so is one where none of the drawn workers has room.
  static constexpr size_t kDrawn = 8;

  // Returns the table of workers as it is now (WorkerPool::Workers); never
  // null.
  using Snapshot = std::function<std::shared_ptr<const WorkerTable>()>;
  // `seed` is of the draws, which decide between equals too.
  Router(Snapshot workers, uint32_t seed)
      : workers_(std::move(workers)), random_(seed) {}

  std::optional<WorkerChoice> PickTarget(const TargetQuery& query) override;
  std::optional<WorkerChoice> PickDrafter(const DrafterQuery& query) override;
  void OnComputed(const ComputedSequence& sequence) override;

  std::vector<ModelSummary> Models() const { return workers_()->models(); }
  absl::StatusOr<ModelSummary> FindModel(const std::string& model_id) const {
    return workers_()->FindModel(model_id);
  }
  // True where a turn can be started.
  bool HasTarget() const { return !workers_()->models().empty(); }
  // What the map of prefixes takes of memory.
  int64_t prefix_bytes() const { return prefix_bytes_.load(); }

 private:
  struct Search;

  std::optional<WorkerChoice> Pick(const Search& search);
  std::vector<const WorkerInfo*> Draw(const Search& search);

  const Snapshot workers_;
  PrefixMap prefixes_;
  std::atomic<int64_t> prefix_bytes_{0};
  std::minstd_rand random_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_ROUTING_ROUTER_H_
