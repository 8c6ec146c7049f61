#include "services/coordinator/server/coordinator_server.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "services/common/channel.h"
#include "services/common/status_conversion.h"
#include "tests/services/common/reflection_probe.h"
#include "tests/services/coordinator/service_fixture.h"

namespace tandem {
namespace {

int ThreadsOfThisProcess() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word == "Threads:") {
      int threads = 0;
      status >> threads;
      return threads;
    }
  }
  return 0;
}

class CoordinatorServerTest : public ServiceFixture {
 protected:
  v1::GenerateRequest LongRequest() {
    v1::GenerateRequest request = Request("w1", 100000);
    request.mutable_turn()->mutable_options()->set_ignore_eos(true);
    return request;
  }
};

TEST_F(CoordinatorServerTest, StreamsATurnThatEqualsAPlainRun) {
  StartAll();
  for (const int draft_length : {0, 1, 4, 16}) {
    SCOPED_TRACE(draft_length);
    v1::GenerateRequest request = Request("w0 w1", 200);
    request.mutable_turn()->mutable_options()->set_draft_length(draft_length);
    const Outcome outcome = Generate(request);
    ASSERT_TRUE(outcome.status.ok()) << outcome.status.error_message();
    ExpectPlain(outcome, PromptOf("w0 w1"), 200);
    EXPECT_EQ(outcome.started.model_id(), "fake");
    EXPECT_EQ(outcome.started.turn(), 1);
    EXPECT_EQ(outcome.started.session_id().size(), 32u);
    EXPECT_GT(outcome.ended.speculation().rounds(), 0);
    EXPECT_EQ(outcome.ended.speculation().drafted_tokens() > 0,
              draft_length > 0);
  }
}

TEST_F(CoordinatorServerTest, AutomaticDraftingEqualsAPlainRun) {
  StartAll();
  int64_t all_drafted = 0;
  for (int turn = 0; turn < 4; ++turn) {
    v1::GenerateRequest request = Request("w0 w1", 200);
    request.mutable_turn()->mutable_options()->set_draft_length_max(16 - turn);
    const Outcome outcome = Generate(request);
    ASSERT_TRUE(outcome.status.ok()) << outcome.status.error_message();
    ExpectPlain(outcome, PromptOf("w0 w1"), 200);
    const v1::SpeculationStats& stats = outcome.ended.speculation();
    int64_t drafted = 0;
    int64_t accepted = 0;
    for (const int64_t count : stats.drafted_by_position()) drafted += count;
    for (const int64_t count : stats.accepted_by_position()) accepted += count;
    EXPECT_EQ(drafted, stats.drafted_tokens());
    EXPECT_EQ(accepted, stats.accepted_tokens());
    all_drafted += drafted;
  }
  EXPECT_GT(all_drafted, 0);
}

TEST_F(CoordinatorServerTest, IsReadyWhileItHasATarget) {
  const std::string address = absl::StrCat("unix:", ::testing::TempDir(),
                                           "coordinator-", getpid(), ".sock");
  CoordinatorOptions options = Options();
  options.workers.targets = {address};
  StartCoordinator(options);
  EXPECT_FALSE(server_->ready());
  const Outcome none = Generate(Request("w1", 5));
  EXPECT_EQ(none.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(GetErrorDetail(FromGrpcStatus(none.status))->reason,
            kReasonNoWorker);
  target_ = std::make_unique<FakeWorker>(FakeWorkerOptions{.address = address});
  WaitFor([this] { return server_->ready(); });
  EXPECT_TRUE(Generate(Request("w1", 5)).status.ok());
  target_.reset();
  WaitFor([this] { return !server_->ready(); });
}

TEST_F(CoordinatorServerTest, FindsWorkersByName) {
  target_ = std::make_unique<FakeWorker>();
  const std::string& address = target_->address();
  CoordinatorOptions options = Options();
  options.workers.targets = {absl::StrCat(
      "dns:///127.0.0.1:", address.substr(address.rfind(':') + 1))};
  StartCoordinator(options);
  WaitFor([this] { return server_->ready(); });
  const Outcome outcome = Generate(Request("w1 w2", 50));
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.error_message();
  ExpectPlain(outcome, PromptOf("w1 w2"), 50);
}

TEST_F(CoordinatorServerTest, LosingTheDrafterDoesNotChangeTheText) {
  StartAll();
  draft_->service().fail_after = 7;
  const Outcome outcome = Generate(Request("w1 w2", 200));
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.error_message();
  ExpectPlain(outcome, PromptOf("w1 w2"), 200);
  draft_.reset();
  const Outcome without = Generate(Request("w1 w2", 200));
  ExpectPlain(without, PromptOf("w1 w2"), 200);
}

TEST_F(CoordinatorServerTest, LosingTheTargetDoesNotChangeTheText) {
  StartAll();
  target_->service().fail_after = 20;
  for (int i = 0; i < 3; ++i) {
    const Outcome outcome = Generate(Request("w1 w2", 200));
    ASSERT_TRUE(outcome.status.ok()) << outcome.status.error_message();
    ExpectPlain(outcome, PromptOf("w1 w2"), 200);
  }
  EXPECT_GT(target_->service().opened, 3);
}

TEST_F(CoordinatorServerTest, ADrafterOfAnotherVocabularyIsNotUsed) {
  target_ = std::make_unique<FakeWorker>();
  draft_ = std::make_unique<FakeWorker>(FakeWorkerOptions{
      .role = v1::WORKER_ROLE_DRAFT, .vocabulary_variant = "-other"});
  StartCoordinator(Options());
  WaitFor([this] { return server_->ready(); });
  const Outcome outcome = Generate(Request("w1 w2", 50));
  ExpectPlain(outcome, PromptOf("w1 w2"), 50);
  // Lookup may still have found something.
  EXPECT_EQ(outcome.ended.speculation().drafted_tokens(),
            outcome.ended.speculation().lookup_drafted_tokens());
  EXPECT_EQ(draft_->service().opened, 0);
}

TEST_F(CoordinatorServerTest, AFullTargetIsToldAtOnce) {
  target_ = std::make_unique<FakeWorker>(FakeWorkerOptions{
      .decode_status = grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED, "")});
  StartCoordinator(Options());
  WaitFor([this] { return server_->ready(); });
  const Outcome outcome = Generate(Request("w1", 5));
  EXPECT_EQ(outcome.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_FALSE(outcome.has_started);
  EXPECT_EQ(server_->sessions(), 0);
}

// A turn on a stream that the client opened by gRPC's callback API, so that
// the clients need no threads either.
class ManyClient : public grpc::ClientReadReactor<v1::GenerateResponse> {
 public:
  ManyClient(v1::GenerationService::Stub* stub, const v1::GenerateRequest& r)
      : request_(r) {
    stub->async()->Generate(&context_, &request_, this);
    StartRead(&response_);
    StartCall();
  }
  void OnReadDone(bool ok) override {
    if (!ok) return;
    v1::ConverseResponse event;
    if (response_.has_started()) *event.mutable_started() = response_.started();
    if (response_.has_tokens()) *event.mutable_tokens() = response_.tokens();
    if (response_.has_ended()) *event.mutable_ended() = response_.ended();
    outcome.Add(event);
    StartRead(&response_);
  }
  void OnDone(const grpc::Status& status) override {
    outcome.status = status;
    const std::lock_guard<std::mutex> lock(mutex_);
    done_ = true;
    wake_.notify_all();
  }
  void Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    wake_.wait(lock, [this] { return done_; });
  }

  Outcome outcome;

 private:
  const v1::GenerateRequest request_;
  grpc::ClientContext context_;
  v1::GenerateResponse response_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool done_ = false;
};

TEST_F(CoordinatorServerTest, AThousandStreamsNeedAFewThreads) {
  constexpr int kStreams = 1000;
  StartAll();
  const int threads_before = ThreadsOfThisProcess();
  // All are open at once: the workers answer when everybody is there.
  target_->service().hold = true;
  std::vector<std::unique_ptr<ManyClient>> clients;
  for (int i = 0; i < kStreams; ++i) {
    clients.push_back(std::make_unique<ManyClient>(
        stub_.get(), Request("w1 w" + std::to_string(i), 20)));
  }
  WaitFor([this] { return target_->service().streams == kStreams; });
  EXPECT_EQ(server_->turns(), kStreams);
  EXPECT_LT(ThreadsOfThisProcess() - threads_before, 100);
  target_->service().Release();
  for (int i = 0; i < kStreams; ++i) {
    clients[static_cast<size_t>(i)]->Wait();
    const Outcome& outcome = clients[static_cast<size_t>(i)]->outcome;
    ASSERT_TRUE(outcome.status.ok()) << outcome.status.error_message();
    ExpectPlain(outcome, PromptOf("w1 w" + std::to_string(i)), 20);
  }
  WaitFor([this] { return target_->service().streams == 0; });
}

TEST_F(CoordinatorServerTest, DrainingLetsARunningTurnEnd) {
  StartAll();
  const std::unique_ptr<Client> idle = Connect();
  Outcome first;
  idle->Start("", "w1", 5);
  idle->Read(&first);
  target_->service().hold = true;
  const std::unique_ptr<Client> client = Connect();
  Outcome outcome;
  client->Start("", "w1 w2", 50);
  client->Read(&outcome, 0);
  WaitFor([this] { return server_->turns() == 1; });
  std::thread stopper([this] { server_->Stop(std::chrono::seconds(60)); });
  // The idle stream ends first, without the client's half-close.
  Outcome nothing;
  idle->Read(&nothing);
  const grpc::Status status = idle->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(GetErrorDetail(FromGrpcStatus(status))->reason, kReasonDraining);
  EXPECT_EQ(
      GetErrorDetail(FromGrpcStatus(Generate(Request("w1", 5)).status))->reason,
      kReasonDraining);
  target_->service().Release();
  client->Read(&outcome);
  ExpectPlain(outcome, PromptOf("w1 w2"), 50);
  client->Finish();
  stopper.join();
}

TEST_F(CoordinatorServerTest, AfterTheDrainTimeTurnsAreEnded) {
  StartAll();
  const std::unique_ptr<Client> client = Connect();
  Outcome outcome;
  v1::ConverseRequest request;
  *request.mutable_start() = LongRequest().turn();
  ASSERT_TRUE(client->stream->Write(request));
  client->Read(&outcome, 10);
  std::thread stopper([this] { server_->Stop(std::chrono::milliseconds(10)); });
  client->Read(&outcome);
  const grpc::Status status = client->Finish();
  stopper.join();
  EXPECT_FALSE(outcome.has_ended);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(GetErrorDetail(FromGrpcStatus(status))->reason, kReasonDraining);
}

TEST_F(CoordinatorServerTest, ABadConfigurationIsAnError) {
  CoordinatorOptions options = Options();
  options.workers.drafts.resize(kWorkersMax + 1, "unix:/nonexistent");
  EXPECT_EQ(CoordinatorServer::Start(options).status().code(),
            absl::StatusCode::kInvalidArgument);
  options = Options();
  options.workers.targets = {"dns:///name-without-port"};
  EXPECT_EQ(CoordinatorServer::Start(options).status().code(),
            absl::StatusCode::kInvalidArgument);
  options = Options();
  options.tls.cert = "/nonexistent.pem";
  options.tls.key = "/nonexistent.key";
  EXPECT_EQ(CoordinatorServer::Start(options).status().code(),
            absl::StatusCode::kInvalidArgument);
  StartCoordinator(Options());
  options = Options();
  options.listen = server_->address();  // taken
  const absl::Status taken = CoordinatorServer::Start(options).status();
  EXPECT_EQ(taken.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(taken.message()),
              ::testing::HasSubstr(": is in use: another server listens"));
}

TEST_F(CoordinatorServerTest, AddressesOfAnotherFormAreRefused) {
  for (const char* target :
       {"", "127.0.0.1", "127.0.0.1:0", "http://127.0.0.1:7071",
        TANDEM_SOURCE_DIR "/deploy/models/tales-target-q8_0.gguf"}) {
    CoordinatorOptions options = Options();
    options.workers.targets = {target};
    const absl::Status status = CoordinatorServer::Start(options).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << target;
    EXPECT_THAT(std::string(status.message()),
                ::testing::HasSubstr("--target"));
  }
}

TEST_F(CoordinatorServerTest, ReflectionIsServedWhereItIsAskedFor) {
  StartCoordinator(Options());
  EXPECT_EQ(AskReflection(server_->address()), grpc::StatusCode::UNIMPLEMENTED);
  CoordinatorOptions options = Options();
  options.reflection = true;
  const auto second = CoordinatorServer::Start(options);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(AskReflection((*second)->address()), grpc::StatusCode::OK);
  EXPECT_EQ(AskReflection(server_->address()), grpc::StatusCode::UNIMPLEMENTED)
      << "one server's flag is not another's";
}

}  // namespace
}  // namespace tandem
