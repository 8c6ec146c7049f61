#include "services/worker/worker_server.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "engine/gguf/gguf_file.h"
#include "services/common/channel.h"
#include "tests/services/worker/decoder_alone.h"
#include "tests/services/worker/worker_fixture.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

constexpr char kDraftModel[] =
    TANDEM_SOURCE_DIR "/deploy/models/tales-draft-q8_0.gguf";

class WorkerServerTest : public ::testing::Test {
 protected:
  WorkerServerTest() {
    options_.server.listen = "127.0.0.1:0";
    options_.server.address_file =
        absl::StrCat(::testing::TempDir(), "worker-address-", getpid());
    options_.role = v1::WORKER_ROLE_TARGET;
    options_.model_path = kDraftModel;
    options_.engine.threads = 1;
  }
  ~WorkerServerTest() override {
    server_.reset();
    std::remove(options_.server.address_file.c_str());
  }

  void Listen() {
    auto server = WorkerServer::Listen(options_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = std::move(server).value();
    channel_ =
        MakeChannel(server_->address(), grpc::InsecureChannelCredentials());
    stub_ = v1::WorkerService::NewStub(channel_);
  }

  // grpc.health.v1 without its stubs (the proto is not packaged): the
  // messages have one field each, number 1.
  std::string Health(const std::string& service) {
    grpc::ByteBuffer response;
    grpc::Slice slice(std::string("\x0a") + static_cast<char>(service.size()) +
                      service);
    const grpc::ByteBuffer request(&slice, 1);
    grpc::ClientContext context;
    SetTestDeadline(&context);
    grpc::GenericStub stub(channel_);
    grpc::Status status;
    absl::Notification done;
    stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", {}, &request,
                   &response, [&](const grpc::Status& result) {
                     status = result;
                     done.Notify();
                   });
    done.WaitForNotification();
    if (!status.ok()) return status.error_message();
    grpc::Slice bytes;
    if (!response.DumpToSingleSlice(&bytes).ok() || bytes.size() != 2) {
      return "?";
    }
    return bytes.begin()[1] == 1 ? "SERVING" : "NOT_SERVING";
  }

  WorkerOptions options_;
  std::unique_ptr<WorkerServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::WorkerService::Stub> stub_;
};

TEST_F(WorkerServerTest, LiveThenReadyThenDrained) {
  Listen();
  std::ifstream file(options_.server.address_file);
  std::string address;
  EXPECT_TRUE(std::getline(file, address));
  EXPECT_EQ(address, server_->address());
  EXPECT_EQ(Health(""), "SERVING");
  EXPECT_EQ(Health("tandem.started"), "NOT_SERVING");
  EXPECT_EQ(Health("tandem.ready"), "NOT_SERVING");
  ASSERT_TRUE(server_->Load().ok());
  EXPECT_EQ(Health("tandem.started"), "SERVING");
  EXPECT_EQ(Health("tandem.ready"), "SERVING");

  DecodeCall running(stub_.get());
  ASSERT_TRUE(running.Write(OpenRequest({1, 300}, 100)));
  ASSERT_TRUE(running.Read().has_value());
  std::thread drain([this] { server_->Drain(); });
  while (Health("tandem.ready") != "NOT_SERVING") {
  }
  EXPECT_EQ(Health(""), "SERVING");
  ASSERT_TRUE(running.Write(VerifyRequest(1, {300}, {})));
  EXPECT_TRUE(running.Read().has_value());
  ASSERT_TRUE(running.WritesDone());
  EXPECT_TRUE(running.Finish().ok());
  drain.join();
  DecodeCall late(stub_.get());
  EXPECT_EQ(late.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(WorkerServerTest, DrainTimeEndsWhatStillRuns) {
  options_.server.drain_timeout_ms = 0;
  Listen();
  ASSERT_TRUE(server_->Load().ok());
  DecodeCall running(stub_.get());
  ASSERT_TRUE(running.Write(OpenRequest({1, 300}, 100)));
  ASSERT_TRUE(running.Read().has_value());
  server_->Drain();
  EXPECT_FALSE(running.Finish().ok());
}

// The real demo model, through real gRPC, against a decoder of the same model
// in this process.
TEST_F(WorkerServerTest, DemoModelAnswersAsInProcess) {
  options_.compute_turn =
      absl::StrCat(::testing::TempDir(), "worker-turn-", getpid());
  Listen();
  ASSERT_TRUE(server_->Load().ok());
  auto file = GgufFile::Open(kDraftModel);
  ASSERT_TRUE(file.ok());
  const auto model = Model::Load(std::move(file).value(), options_.model);
  ASSERT_TRUE(model.ok());
  auto engine = Engine::Load(*model, options_.engine);
  ASSERT_TRUE(engine.ok());

  v1::DescribeResponse described;
  grpc::ClientContext context;
  SetTestDeadline(&context);
  ASSERT_TRUE(
      stub_->Describe(&context, v1::DescribeRequest(), &described).ok());
  EXPECT_EQ(described.models(0).model_id(), "tales-draft-q8_0");
  EXPECT_EQ(described.models(0).fingerprint(), (*engine)->info().fingerprint);
  EXPECT_EQ(described.models(0).vocab_size(), (*engine)->info().vocab_size);

  const std::vector<TokenId> prompt =
      (*model)->tokenizer().Encode("Once upon a time", true);
  DecoderAlone alone(std::move(engine).value(),
                     OpenRequestOptions(prompt, 200));
  DecodeCall call(stub_.get());
  v1::DecodeRequest open = OpenRequest(prompt, 200);
  open.mutable_open()->set_fingerprint(described.models(0).fingerprint());
  ASSERT_TRUE(call.Write(open));
  ASSERT_TRUE(call.Read().has_value());
  Position position = static_cast<Position>(prompt.size()) - 1;
  TokenId last = prompt.back();
  std::vector<TokenId> draft;
  for (int round = 0; round < 20; ++round) {
    ASSERT_TRUE(call.Write(VerifyRequest(position, {last}, draft)));
    const auto response = call.Read();
    ASSERT_TRUE(response.has_value());
    const std::vector<SampledToken> expected =
        alone.Verify(position, {last}, draft);
    ASSERT_EQ(response->verified().token_ids_size(),
              static_cast<int>(expected.size()));
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(response->verified().token_ids(static_cast<int>(i)),
                expected[i].id);
    }
    position += static_cast<Position>(expected.size());
    last = expected.back().id;
    draft = {expected[0].id, 300, 301};
  }
  ASSERT_TRUE(call.WritesDone());
  EXPECT_TRUE(call.Finish().ok());

  // The image is a GGUF with the same vocabulary.
  grpc::ClientContext image_context;
  SetTestDeadline(&image_context);
  const auto reader =
      stub_->GetTokenizer(&image_context, v1::GetTokenizerRequest());
  std::string image;
  v1::GetTokenizerResponse chunk;
  while (reader->Read(&chunk)) image += chunk.chunk();
  ASSERT_TRUE(reader->Finish().ok());
  const auto image_file = GgufFile::FromBytes(image, "tokenizer");
  ASSERT_TRUE(image_file.ok()) << image_file.status();
  const auto tokenizer = Tokenizer::FromGguf(**image_file);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ((*tokenizer)->vocabulary_fingerprint(),
            described.models(0).vocabulary_fingerprint());
  server_.reset();
  std::remove(options_.compute_turn.c_str());
}

TEST_F(WorkerServerTest, BadModelFilesAreNamed) {
  options_.model_path = "/no/such/model.gguf";
  Listen();
  absl::Status status = server_->Load();
  EXPECT_THAT(std::string(status.message()), HasSubstr("/no/such/model.gguf"));
  EXPECT_EQ(Health("tandem.ready"), "NOT_SERVING");

  const std::string path =
      absl::StrCat(::testing::TempDir(), "bad-", getpid(), ".gguf");
  std::ofstream(path) << "GGUF but no more";
  options_.model_path = path;
  server_.reset();
  Listen();
  status = server_->Load();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(path));
  std::remove(path.c_str());

  options_.compute_turn = "/no/such/turn";
  server_.reset();
  Listen();
  EXPECT_THAT(std::string(server_->Load().message()),
              HasSubstr("--compute-turn"));
}

TEST_F(WorkerServerTest, BadListenAndAddressFileAreNamed) {
  options_.server.listen = "0.0.0.0:0";
  EXPECT_THAT(std::string(WorkerServer::Listen(options_).status().message()),
              HasSubstr("--insecure-listen"));
  options_.server.listen = "127.0.0.1:0";
  Listen();
  WorkerOptions second = options_;
  second.server.listen = server_->address();
  EXPECT_THAT(std::string(WorkerServer::Listen(second).status().message()),
              HasSubstr("can not be bound"));
  second.server.listen = "127.0.0.1:0";
  second.server.address_file = "/no/such/dir/file";
  EXPECT_THAT(std::string(WorkerServer::Listen(second).status().message()),
              HasSubstr("--address-file"));
}

TEST_F(WorkerServerTest, UnixSocketAndReflection) {
  const std::string path =
      absl::StrCat(::testing::TempDir(), "worker-", getpid(), ".sock");
  options_.server.listen = absl::StrCat("unix:", path);
  options_.server.reflection = true;
  Listen();
  EXPECT_EQ(Health(""), "SERVING");
  server_.reset();
  std::filesystem::remove(path);
}

TEST_F(WorkerServerTest, StalledComputeIsNotReadyAndThenNotAlive) {
  options_.stall_limit = absl::Milliseconds(100);
  options_.dead_limit = absl::Seconds(2);
  Listen();
  auto engine = std::make_unique<GatedEngine>(FakeEngineOptions());
  GatedEngine* gated = engine.get();
  WorkerModelParts parts;
  parts.info.vocab_size = kFakeVocabSize;
  parts.info.context_max = 1000;
  parts.engine = std::move(engine);
  server_->Serve(std::move(parts));
  EXPECT_EQ(Health("tandem.ready"), "SERVING");
  DecodeCall call(stub_.get());
  ASSERT_TRUE(call.Write(OpenRequest({1, 3, 4})));
  ASSERT_TRUE(call.Write(VerifyRequest(2, {4}, {})));
  ASSERT_TRUE(call.Read().has_value());
  ASSERT_TRUE(call.Read().has_value());
  gated->ShutGate();
  ASSERT_TRUE(call.Write(VerifyRequest(2, {4}, {})));
  while (Health("tandem.ready") != "NOT_SERVING") {
    absl::SleepFor(absl::Milliseconds(50));
  }
  while (Health("") != "NOT_SERVING") absl::SleepFor(absl::Milliseconds(50));
  gated->OpenGate();
  while (Health("tandem.ready") != "SERVING") {
    absl::SleepFor(absl::Milliseconds(50));
  }
  while (Health("") != "SERVING") absl::SleepFor(absl::Milliseconds(50));
}

TEST_F(WorkerServerTest, ServesMetricsFromTheStart) {
  options_.server.metrics.listen = "127.0.0.1:0";
  options_.server.metrics_address_file =
      absl::StrCat(::testing::TempDir(), "worker-metrics-", getpid());
  Listen();
  std::ifstream file(options_.server.metrics_address_file);
  std::string address;
  EXPECT_TRUE(std::getline(file, address));
  EXPECT_EQ(address, server_->metrics_address());
  httplib::Client client(absl::StrCat("http://", address));
  EXPECT_THAT(client.Get("/metrics")->body, HasSubstr("\ntandem_ready 0\n"));
  ASSERT_TRUE(server_->Load().ok());
  DecodeCall running(stub_.get());
  ASSERT_TRUE(running.Write(OpenRequest({1, 300}, 100)));
  ASSERT_TRUE(running.Read().has_value());
  ASSERT_TRUE(running.Write(VerifyRequest(1, {300}, {})));
  ASSERT_TRUE(running.Read().has_value());
  const std::string body = client.Get("/metrics")->body;
  EXPECT_THAT(body, HasSubstr("\ntandem_ready 1\n"));
  EXPECT_THAT(body, HasSubstr("\ntandem_num_requests_running 1\n"));
  EXPECT_THAT(body, HasSubstr("tandem_rows_total{kind=\"decode\"} 1\n"));
  std::remove(options_.server.metrics_address_file.c_str());
}

}  // namespace
}  // namespace tandem
