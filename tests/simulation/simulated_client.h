// A client of a simulated coordinator: takes its turns one after another over a
// ClientStream, checks every event against what the target alone would write,
// loses its connection now and then, and resumes. Owned by the simulation; one
// thread.

#ifndef TANDEM_TESTS_SIMULATION_SIMULATED_CLIENT_H_
#define TANDEM_TESTS_SIMULATION_SIMULATED_CLIENT_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "services/coordinator/client/client_stream.h"
#include "tests/services/coordinator/fake_model.h"
#include "tests/simulation/simulated_network.h"

namespace tandem {

struct SimulatedClientOptions {
  int id = 0;
  int turns = 2;
  // The first turn's prompt is the shared beginning and own tokens.
  const std::vector<TokenId>* shared_prompt = nullptr;
  int prompt_tokens = 40;
  int tokens_max = 64;
  // Every turn has tokens_max tokens.
  bool ignore_eos = false;
  MonotonicDuration think_time = std::chrono::milliseconds(500);
  // Between an event and the next.
  MonotonicDuration read_time = {};
  // Of a thousand events, after so many the connection is lost.
  int losses_per_mille = 0;
};

// Of all clients, added up.
struct ClientTotals {
  int64_t sessions = 0;  // that are over
  int64_t turns = 0;
  int64_t tokens = 0;
  int64_t losses = 0;   // of connections
  int64_t resumes = 0;  // that went on
  int64_t retries = 0;  // a turn was refused before it had begun
  int64_t rounds = 0;
  int64_t drafted = 0;
  int64_t accepted = 0;
  // Of turns: microseconds to the first token, and tokens a second after it.
  std::vector<int64_t> first_token_us;
  std::vector<double> rates;
  // The first thing that was wrong; empty: nothing.
  std::string failure;
};

class SimulatedClient {
 public:
  // Whom the client's next stream goes to; null: nobody is there now.
  using FindServices = std::function<ClientServices*()>;

  // All outlive the client, and services all streams to them.
  SimulatedClient(SimulatedNetwork* network, FindServices find_services,
                  ClientTotals* totals, const SimulatedClientOptions& options);
  ~SimulatedClient();

  SimulatedClient(const SimulatedClient&) = delete;
  SimulatedClient& operator=(const SimulatedClient&) = delete;

  // The first turn; once.
  void Begin() { StartTurn(); }
  bool done() const { return done_; }
  // The client's coordinator has died: so has a stream to it.
  void OnDeath(const ClientServices* of);
  // For a simulation that does not end.
  std::string Where() const;

 private:
  class Attempt;

  void StartTurn();
  void Connect();
  v1::ConverseRequest FirstMessage() const;
  void OnEvent(Attempt* from, const v1::ConverseResponse& event);
  void OnTokens(const v1::TokensGenerated& tokens);
  void OnEnded(const v1::TurnEnded& ended);
  void OnFinished(Attempt* from, const absl::Status& status);
  void LoseConnection();
  void ConnectAgain();
  void Fail(const std::string& what);

  SimulatedNetwork* const network_;
  const FindServices find_services_;
  ClientTotals* const totals_;
  const SimulatedClientOptions options_;

  std::shared_ptr<Attempt> attempt_;
  const ClientServices* services_ = nullptr;  // attempt_'s
  bool done_ = false;
  // What it knows of its session.
  std::string session_id_;
  int64_t turns_known_ = 0;  // that the server has told it of
  std::vector<TokenId> history_;
  // The turn under way.
  int turn_ = 0;  // from 1
  bool under_way_ = false;
  bool known_ = false;         // `started` came
  bool may_be_known_ = false;  // the server may have the turn
  bool resuming_ = false;
  std::vector<TokenId> prompt_;
  std::vector<TokenId> tokens_;
  std::string text_;
  int64_t began_us_ = 0;
  int64_t first_token_us_ = 0;
  int tries_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_SIMULATION_SIMULATED_CLIENT_H_
