// A worker service over a fake engine behind a real gRPC server on loopback.

#ifndef TANDEM_TESTS_SERVICES_WORKER_WORKER_FIXTURE_H_
#define TANDEM_TESTS_SERVICES_WORKER_WORKER_FIXTURE_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "services/worker/server/worker_service.h"
#include "tandem/v1/worker.grpc.pb.h"
#include "tests/services/worker/gated_engine.h"

namespace tandem {

// Calls hang for at most this long where a test fails.
inline constexpr int kCallSecondsMax = 120;

void SetTestDeadline(grpc::ClientContext* context);

v1::DecodeRequest OpenRequest(const std::vector<TokenId>& tokens,
                              Position tokens_max = 500);
v1::DecodeRequest ProposeRequest(Position position,
                                 const std::vector<TokenId>& tokens,
                                 int draft_length);
v1::DecodeRequest VerifyRequest(Position position,
                                const std::vector<TokenId>& tokens,
                                const std::vector<TokenId>& draft);
// The options that OpenRequest asks for.
SequenceDecoderOptions OpenRequestOptions(const std::vector<TokenId>& tokens,
                                          Position tokens_max = 500);

// A client's end of a Decode stream.
class DecodeCall {
 public:
  explicit DecodeCall(v1::WorkerService::StubInterface* stub);
  // Cancelled, if it has not been finished.
  ~DecodeCall();

  bool Write(const v1::DecodeRequest& request);
  bool WritesDone() { return stream_->WritesDone(); }
  // Nothing at the end.
  std::optional<v1::DecodeResponse> Read();
  // Reads what is left.
  grpc::Status Finish();
  void Cancel() { context_.TryCancel(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<
      grpc::ClientReaderWriterInterface<v1::DecodeRequest, v1::DecodeResponse>>
      stream_;
  bool finished_ = false;
};

std::vector<TokenId> Ids(const std::vector<SampledToken>& tokens);
std::vector<TokenId> Ids(const v1::DecodedTokens& tokens);

// Reads what is left of the call, which ends so.
void ExpectEnd(DecodeCall* call, grpc::StatusCode code,
               const std::string& reason);

// Until a Watch report satisfies `condition`.
void WaitForLoad(
    v1::WorkerService::StubInterface* stub,
    const std::function<bool(const v1::WatchResponse&)>& condition);

class WorkerFixture : public ::testing::Test {
 protected:
  ~WorkerFixture() override;

  // The server, its model still loading.
  void Listen();
  // With a model.
  void Start(v1::WorkerRole role, const FakeEngineOptions& options = {});
  void SetModel(v1::WorkerRole role, const FakeEngineOptions& options = {});

  void WaitForLoad(
      const std::function<bool(const v1::WatchResponse&)>& condition) {
    tandem::WaitForLoad(stub_.get(), condition);
  }

  std::unique_ptr<v1::WorkerService::Stub> NewStub() const;

  std::string tokenizer_image_ = "image";
  WorkerService service_;
  GatedEngine* engine_ = nullptr;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::WorkerService::Stub> stub_;
  int port_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_SERVICES_WORKER_WORKER_FIXTURE_H_
