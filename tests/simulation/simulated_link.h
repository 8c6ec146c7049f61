// A coordinator's connection to one simulated worker: streams over wires with
// delays, of which some break. Owned by the coordinator's pool and by turns;
// one thread.

#ifndef TANDEM_TESTS_SIMULATION_SIMULATED_LINK_H_
#define TANDEM_TESTS_SIMULATION_SIMULATED_LINK_H_

#include <functional>
#include <memory>
#include <optional>

#include "services/coordinator/turn/load_tracker.h"
#include "services/coordinator/turn/worker_link.h"
#include "tests/simulation/simulated_network.h"
#include "tests/simulation/simulated_worker.h"

namespace tandem {

class SimulatedLink : public WorkerLink,
                      public std::enable_shared_from_this<SimulatedLink> {
 public:
  // Both outlive the link and its streams.
  SimulatedLink(SimulatedNetwork* network, SimulatedWorker* worker)
      : network_(network), worker_(worker) {}

  std::unique_ptr<WorkerStream> Open(
      OpenRequest request, EventLoop* loop, WorkerStreamEvents* events,
      std::optional<MonotonicTime> deadline) override;
  std::shared_ptr<const WorkerCosts> costs() const override { return costs_; }
  WorkerLoad load() const override { return tracker_->load(); }

  // Watches the worker until it is gone; reports arrive late, as all else.
  // `on_change` may come after the link is not used any more.
  void Watch(std::function<void(bool draining, bool gone)> on_change);
  int own_streams() const { return tracker_->own_streams(); }
  SimulatedWorker* worker() const { return worker_; }

 private:
  SimulatedNetwork* const network_;
  SimulatedWorker* const worker_;
  const std::shared_ptr<LoadTracker> tracker_ = std::make_shared<LoadTracker>();
  std::shared_ptr<const WorkerCosts> costs_;
  SimulatedNetwork::Wire reports_;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_SIMULATION_SIMULATED_LINK_H_
