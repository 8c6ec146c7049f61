// A coordinator's way to the store that all coordinators of a simulation share:
// calls and answers take time, calls may be refused, and what a coordinator had
// under way when it died comes to nothing. Owned by the simulated coordinator;
// one thread.

#ifndef TANDEM_TESTS_SIMULATION_SIMULATED_STORE_H_
#define TANDEM_TESTS_SIMULATION_SIMULATED_STORE_H_

#include <memory>
#include <string>
#include <vector>

#include "services/coordinator/store/memory_state_store.h"
#include "tests/simulation/simulated_network.h"

namespace tandem {

class SimulatedStore : public StateStore {
 public:
  // Both outlive all messages. Of a thousand calls, `faults_per_mille` are
  // answered with UNAVAILABLE; half of these have happened.
  SimulatedStore(SimulatedNetwork* network, MemoryStateStore* store,
                 int faults_per_mille);

  // No call happens and no answer comes any more.
  void Die() { way_->is_dead = true; }

  void BeginTurn(TurnBegin begin, Committed done) override;
  void AddTokens(TurnTokens tokens, Committed done) override;
  void EndTurn(TurnEnd end, Committed done) override;
  void TakeOver(std::string session_id, std::string tenant,
                Answer<StoredSession> done) override;
  void FindLost(std::vector<HeldSession> held,
                Answer<std::vector<std::string>> done) override;
  void Load(std::string session_id, Answer<StoredSession> done) override;
  void List(SessionsOf which, std::string after,
            Answer<std::vector<SessionSummary>> done) override;
  void Delete(SessionsOf which, std::string session_id,
              Committed done) override;
  void Prune(Retention retention, Answer<int64_t> done) override;

 private:
  // Shared with messages that are under way.
  struct Way {
    SimulatedNetwork* network;
    MemoryStateStore* store;
    int faults_per_mille;
    SimulatedNetwork::Wire up;
    SimulatedNetwork::Wire down;
    bool is_dead = false;
  };

  // `call` asks the store, and gives its answer to what it is handed. `Result`
  // is what `done` takes.
  template <typename Result, typename Call>
  void Send(absl::AnyInvocable<void(Result)> done, Call call);

  const std::shared_ptr<Way> way_;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_SIMULATION_SIMULATED_STORE_H_
