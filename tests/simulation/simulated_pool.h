// A coordinator's workers in a simulation: looks up the two pools' names in a
// name server that may lie, connects to the addresses, and tells the router how
// things stand. It stands for WorkerPool, whose threads and calls are gRPC's,
// and has its AddressBook, its tables and its rules: a worker that left the
// names gets no new streams and is forgotten when it has none. Owned by the
// simulated coordinator; one thread.

#ifndef TANDEM_TESTS_SIMULATION_SIMULATED_POOL_H_
#define TANDEM_TESTS_SIMULATION_SIMULATED_POOL_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "services/coordinator/workers/address_book.h"
#include "services/coordinator/workers/worker_table.h"
#include "tests/simulation/simulated_link.h"
#include "tests/simulation/simulated_network.h"
#include "tests/simulation/simulated_worker.h"

namespace tandem {

inline constexpr char kSimulatedModel[] = "fake";

// What the world outside tells a pool.
struct SimulatedWorld {
  // The name server's answer for "targets" or "drafts".
  std::function<absl::StatusOr<std::vector<std::string>>(
      const std::string& host)>
      resolve;
  // Who is at an address.
  std::function<SimulatedWorker*(const std::string& address)> find;
};

class SimulatedPool {
 public:
  SimulatedPool(SimulatedNetwork* network, SimulatedWorld world);

  SimulatedPool(const SimulatedPool&) = delete;
  SimulatedPool& operator=(const SimulatedPool&) = delete;

  // Looks up the names now and every 5 s from now on, until Stop.
  void Start();
  void Stop() { stopped_ = true; }

  std::shared_ptr<const WorkerTable> Workers();
  int own_streams() const;

 private:
  struct Slot {
    std::shared_ptr<SimulatedLink> link;
    WorkerInfo info;
    bool leaving = false;
  };
  struct Group {
    AddressBook book;
    std::map<std::string, std::shared_ptr<Slot>> slots;  // by address
  };

  void Resolve();
  void Reconcile(Group* group, WorkerRole role);
  std::shared_ptr<Slot> MakeSlot(const std::string& address, WorkerRole role);
  void Connect(const std::shared_ptr<Slot>& slot);

  SimulatedNetwork* const network_;
  const SimulatedWorld world_;
  std::vector<Group> groups_;  // targets, drafts
  bool stopped_ = false;
  std::shared_ptr<const WorkerTable> table_;  // null: to be made anew
};

}  // namespace tandem

#endif  // TANDEM_TESTS_SIMULATION_SIMULATED_POOL_H_
