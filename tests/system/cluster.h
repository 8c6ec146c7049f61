// Real processes of tandem over the demo pair: a coordinator, target workers
// and draft workers on unix sockets in a folder of the test's own. Stops them
// with the object.

#ifndef TANDEM_TESTS_SYSTEM_CLUSTER_H_
#define TANDEM_TESTS_SYSTEM_CLUSTER_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "tandem/v1/generation.grpc.pb.h"
#include "tandem/v1/worker.grpc.pb.h"
#include "tests/system/process.h"

namespace tandem::testing {

// What came of one turn.
struct TurnResult {
  grpc::Status status;
  std::string session_id;
  int64_t turn = 0;
  uint64_t seed = 0;
  std::vector<int32_t> token_ids;
  std::string text;
  bool ended = false;
  v1::TurnEnded end;
  // False where first_token showed a gap or a repeat.
  bool contiguous = true;
};

// Adds an event to `result`; works for Converse and Generate responses.
template <typename Response>
void AddEvent(const Response& response, TurnResult* result) {
  if (response.has_started()) {
    result->session_id = response.started().session_id();
    result->turn = response.started().turn();
    result->seed = response.started().seed();
  } else if (response.has_tokens()) {
    const v1::TokensGenerated& tokens = response.tokens();
    result->contiguous &=
        tokens.first_token() == static_cast<int64_t>(result->token_ids.size());
    result->token_ids.insert(result->token_ids.end(),
                             tokens.token_ids().begin(),
                             tokens.token_ids().end());
    result->text += tokens.text();
  } else if (response.has_ended()) {
    result->text += response.ended().text();
    result->end = response.ended();
    result->ended = true;
  }
}

class Cluster {
 public:
  struct Options {
    int targets = 1;
    int drafts = 1;
    // Files; empty: the demo pair.
    std::string target_model = {};
    std::string draft_model = {};
    std::vector<std::string> worker_flags = {};
    std::vector<std::string> coordinator_flags = {};
  };

  // Starts everything and waits until the coordinator is ready and has found
  // every worker.
  explicit Cluster(const Options& options);
  ~Cluster();

  v1::GenerationService::Stub& stub() { return *stub_; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

  Process& coordinator() { return *coordinator_; }
  Process& target(int index) { return *targets_[index]; }
  Process& draft(int index) { return *drafts_[index]; }

  // Starts again a worker that has been killed.
  void RestartTarget(int index);
  void RestartDraft(int index);

  // Until ListModels tells so many workers, within a minute.
  bool WaitForWorkers(int targets, int drafts);

  // A call of its own to a worker, past the coordinator.
  std::unique_ptr<v1::WorkerService::Stub> TargetStub(int index) const;
  std::unique_ptr<v1::WorkerService::Stub> DraftStub(int index) const;

  // One turn through Generate.
  TurnResult Generate(const v1::TurnRequest& turn);

  const std::string& folder() const { return folder_; }

 private:
  std::string WorkerSocket(const std::string& role, int index) const;
  std::unique_ptr<Process> StartWorker(const std::string& role, int index);
  void StartCoordinator();

  Options options_;
  std::string folder_;
  std::vector<std::unique_ptr<Process>> targets_;
  std::vector<std::unique_ptr<Process>> drafts_;
  std::unique_ptr<Process> coordinator_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::GenerationService::Stub> stub_;
};

// The demo models of the repository.
std::string TargetModelPath();
std::string DraftModelPath();

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_SYSTEM_CLUSTER_H_
