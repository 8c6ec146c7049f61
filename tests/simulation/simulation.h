// A whole installation in one process and one thread: clients, coordinators and
// two pools of workers over a clock that jumps from event to event. Sessions,
// client streams, turns, routing and drafting are the coordinator's own code;
// workers, network and name server are simulated, and so is what kills them. A
// seed decides everything. Used by tests and by the capacity program; one
// thread.

#ifndef TANDEM_TESTS_SIMULATION_SIMULATION_H_
#define TANDEM_TESTS_SIMULATION_SIMULATION_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "services/coordinator/client/client_stream.h"
#include "services/coordinator/routing/router.h"
#include "services/coordinator/store/memory_state_store.h"
#include "tests/simulation/simulated_client.h"
#include "tests/simulation/simulated_network.h"
#include "tests/simulation/simulated_pool.h"
#include "tests/simulation/simulated_worker.h"

namespace tandem {

struct SimulationOptions {
  NetworkOptions network;
  int coordinators = 1;
  int targets = 20;
  int drafters = 5;
  int64_t kv_pages = 1024;  // of each worker
  int sessions = 100;
  // Sessions begin at any time in this.
  MonotonicDuration arrivals = std::chrono::seconds(2);
  SimulatedClientOptions client;
  // Beginnings of prompts that sessions share, and how long they are.
  int shared_prompts = 4;
  int shared_prompt_tokens = 128;

  // Faults, while sessions run. Workers that died start again; for those that
  // drained others come, at new addresses.
  double kills_per_s = 0;
  double drains_per_s = 0;
  double adds_per_s = 0;
  MonotonicDuration drain_timeout = std::chrono::seconds(3);
  int flaps_per_mille = 0;  // of lookups: an error, nobody, or some
  int slow_targets = 0;     // take ten times as long
  // Coordinators share a store, and clients go to any of them.
  bool has_store = false;
  int store_faults_per_mille = 0;  // of calls
  // Coordinators that die; others come in their place. With a store.
  double coordinator_kills_per_s = 0;
  // All drafters die, for good; zero: never.
  MonotonicDuration drafters_die_after = {};
};

struct SimulationResult {
  std::string digest;  // of all events
  int64_t events = 0;
  double seconds = 0;  // of the simulated clock
  ClientTotals clients;
  int64_t workers_started = 0;
  int64_t coordinators_started = 0;
  int64_t drained_with = 0;  // sequences that were there at a drain's end
  // Of the targets' and drafters' time, computing.
  double target_busy = 0;
  double draft_busy = 0;
  // What was broken; empty: nothing.
  std::string failure;
};

class Simulation {
 public:
  explicit Simulation(const SimulationOptions& options);
  ~Simulation();

  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  // To the end of all sessions and of what they left; once.
  SimulationResult Run();

 private:
  struct Coordinator;

  SimulatedWorker* AddWorker(WorkerRole role);
  absl::StatusOr<std::vector<std::string>> Resolve(const std::string& host);
  void MakeClients();
  // A fault now and then, so many a second.
  void Repeat(double per_second, void (Simulation::*fault)());
  void KillOne();
  void DrainOne();
  void AddOne();
  void KillDrafters();
  void AddCoordinator();
  void KillCoordinator();
  ClientServices* DrawCoordinator();
  // Alive and not draining; null where there are none to spare.
  SimulatedWorker* DrawWorker();
  // What is left that should not be.
  std::string Leftovers() const;
  void Summarize(SimulationResult* result) const;

  const SimulationOptions options_;
  SimulatedNetwork network_;
  std::map<std::string, std::unique_ptr<SimulatedWorker>> workers_;
  int last_worker_ = 0;
  bool drafters_dead_ = false;
  bool sessions_over_ = false;
  MemoryStateStore store_;
  // The dead stay: what they had under way finds them.
  std::vector<std::unique_ptr<Coordinator>> coordinators_;
  std::vector<std::vector<TokenId>> shared_prompts_;
  ClientTotals totals_;
  std::vector<std::unique_ptr<SimulatedClient>> clients_;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_SIMULATION_SIMULATION_H_
