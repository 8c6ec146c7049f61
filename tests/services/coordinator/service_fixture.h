// A coordinator and fake workers in one process, and a client: for tests of the
// whole service.

#ifndef TANDEM_TESTS_SERVICES_COORDINATOR_SERVICE_FIXTURE_H_
#define TANDEM_TESTS_SERVICES_COORDINATOR_SERVICE_FIXTURE_H_

#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "services/coordinator/server/coordinator_server.h"
#include "tandem/v1/generation.grpc.pb.h"
#include "tests/services/coordinator/fake_model.h"
#include "tests/services/coordinator/fake_worker_service.h"

namespace tandem {

// What a client got of one turn.
struct Outcome {
  grpc::Status status;
  v1::TurnStarted started;
  std::vector<TokenId> tokens;
  std::string text;
  v1::TurnEnded ended;
  bool has_started = false;
  bool has_ended = false;

  // Takes an event; checks that tokens come without gap or repeat.
  void Add(const v1::ConverseResponse& event);
};

class ServiceFixture : public ::testing::Test {
 protected:
  using Stream =
      grpc::ClientReaderWriter<v1::ConverseRequest, v1::ConverseResponse>;

  // A Converse stream of a client.
  struct Client {
    grpc::ClientContext context;
    std::unique_ptr<Stream> stream;

    void Start(const std::string& session_id, const std::string& text,
               int max_tokens);
    void Cancel();
    // Reads until `ended`, the stream's end, or `tokens` tokens.
    void Read(Outcome* outcome, int64_t tokens = INT64_MAX);
    // Half-closes and reads the rest.
    grpc::Status Finish();
  };

  void StartAll();
  void StartCoordinator(CoordinatorOptions options);
  // Options that name the workers.
  CoordinatorOptions Options() const;
  std::unique_ptr<Client> Connect() const;

  static v1::GenerateRequest Request(const std::string& text, int max_tokens);
  Outcome Generate(const v1::GenerateRequest& request) const;

  static std::vector<TokenId> PromptOf(const std::string& text);
  static TurnSpec SpecOf(std::vector<TokenId> prompt, int max_tokens);
  // The outcome is what a plain run gives, whole.
  static void ExpectPlain(const Outcome& outcome, std::vector<TokenId> prompt,
                          int max_tokens);
  // Until `done` holds; a test that hangs is ended by its runner.
  template <typename Predicate>
  static void WaitFor(Predicate done) {
    while (!done()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  std::unique_ptr<FakeWorker> target_;
  std::unique_ptr<FakeWorker> draft_;
  std::unique_ptr<CoordinatorServer> server_;
  std::unique_ptr<v1::GenerationService::Stub> stub_;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_SERVICES_COORDINATOR_SERVICE_FIXTURE_H_
