#include "services/worker/server/worker_server.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "engine/gguf/gguf_file.h"
#include "services/common/channel.h"
#include "tandem/v1/worker_admin.grpc.pb.h"
#include "tests/services/access/generic_call.h"
#include "tests/services/access/key_files.h"
#include "tests/services/common/reflection_probe.h"
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
    options_.loader.role = v1::WORKER_ROLE_TARGET;
    options_.models = {{.id = "", .path = kDraftModel}};
    options_.loader.engine.threads = 1;
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

// A drafter that shares its cores is not asked ahead.
TEST_F(WorkerServerTest, TellsWhetherItTakesTurns) {
  for (const bool has_turn : {false, true}) {
    if (has_turn) {
      options_.loader.compute_turn =
          absl::StrCat(::testing::TempDir(), "worker-turns-", getpid());
    }
    Listen();
    ASSERT_TRUE(server_->Load().ok());
    std::optional<bool> takes_turns;
    WaitForLoad(stub_.get(), [&](const v1::WatchResponse& load) {
      takes_turns = load.takes_turns();
      return true;
    });
    EXPECT_EQ(takes_turns, has_turn);
    server_->Drain();
  }
}

// The real demo model, through real gRPC, against a decoder of the same model
// in this process.
TEST_F(WorkerServerTest, DemoModelAnswersAsInProcess) {
  options_.loader.compute_turn =
      absl::StrCat(::testing::TempDir(), "worker-turn-", getpid());
  Listen();
  ASSERT_TRUE(server_->Load().ok());
  auto file = GgufFile::Open(kDraftModel);
  ASSERT_TRUE(file.ok());
  const auto model = Model::Load(*std::move(file), options_.loader.model);
  ASSERT_TRUE(model.ok());
  auto engine = Engine::Load(*model, options_.loader.engine);
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
    ASSERT_EQ(response->decoded().token_ids_size(),
              static_cast<int>(expected.size()));
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(response->decoded().token_ids(static_cast<int>(i)),
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
  std::remove(options_.loader.compute_turn.c_str());
}

TEST_F(WorkerServerTest, BadModelFilesAreNamed) {
  options_.models = {{.id = "", .path = "/no/such/model.gguf"}};
  Listen();
  absl::Status status = server_->Load();
  EXPECT_THAT(std::string(status.message()), HasSubstr("/no/such/model.gguf"));
  EXPECT_EQ(Health("tandem.ready"), "NOT_SERVING");

  const std::string path =
      absl::StrCat(::testing::TempDir(), "bad-", getpid(), ".gguf");
  std::ofstream(path) << "GGUF but no more";
  options_.models = {{.id = "", .path = path}};
  server_.reset();
  Listen();
  status = server_->Load();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr(path));
  std::remove(path.c_str());

  options_.models = {{.id = "", .path = kDraftModel}};
  options_.loader.compute_turn = "/no/such/turn";
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
              HasSubstr("is in use: another server"));
  second.server.listen = "127.0.0.1:0";
  second.server.address_file = "/no/such/dir/file";
  EXPECT_THAT(std::string(WorkerServer::Listen(second).status().message()),
              HasSubstr("address file /no/such/dir/file: cannot be"));
}

constexpr char kTargetModel[] =
    TANDEM_SOURCE_DIR "/deploy/models/tales-target-q8_0.gguf";

TEST_F(WorkerServerTest, ServesSeveralModels) {
  options_.models = {{.id = "small", .path = kDraftModel},
                     {.id = "large", .path = kTargetModel}};
  Listen();
  ASSERT_TRUE(server_->Load().ok());
  grpc::ClientContext context;
  SetTestDeadline(&context);
  v1::DescribeResponse described;
  ASSERT_TRUE(
      stub_->Describe(&context, v1::DescribeRequest(), &described).ok());
  ASSERT_EQ(described.models_size(), 2);
  EXPECT_EQ(described.models(0).model_id(), "small");
  EXPECT_EQ(described.models(1).model_id(), "large");
  EXPECT_NE(described.models(0).fingerprint(),
            described.models(1).fingerprint());
  for (const v1::WorkerModel& model : described.models()) {
    DecodeCall call(stub_.get());
    v1::DecodeRequest open = OpenRequest({1, 300}, 100);
    open.mutable_open()->set_model_id(model.model_id());
    ASSERT_TRUE(call.Write(open));
    ASSERT_TRUE(call.Write(VerifyRequest(1, {300}, {})));
    const auto opened = call.Read();
    ASSERT_TRUE(opened.has_value());
    EXPECT_EQ(opened->opened().fingerprint(), model.fingerprint());
    EXPECT_TRUE(call.Read().has_value());
  }
}

TEST_F(WorkerServerTest, ModelsThatDoNotFitTogetherAreNotServed) {
  options_.models = {{.id = "one", .path = kTargetModel},
                     {.id = "twin", .path = kTargetModel}};
  options_.bounds.weight_bytes_max =
      static_cast<int64_t>(std::filesystem::file_size(kTargetModel)) * 3 / 2;
  Listen();
  EXPECT_THAT(std::string(server_->Load().message()),
              HasSubstr("--model-memory-max-bytes"));
  EXPECT_EQ(Health("tandem.ready"), "NOT_SERVING");
}

TEST_F(WorkerServerTest, TheAdminServiceLoadsAndUnloads) {
  options_.models = {{.id = "small", .path = kDraftModel}};
  options_.admin_listen = "127.0.0.1:0";
  options_.admin_address_file =
      absl::StrCat(::testing::TempDir(), "worker-admin-", getpid());
  options_.model_folder = TANDEM_SOURCE_DIR "/deploy/models";
  Listen();
  ASSERT_TRUE(server_->Load().ok());
  std::ifstream file(options_.admin_address_file);
  std::string address;
  EXPECT_TRUE(std::getline(file, address));
  EXPECT_EQ(address, server_->admin_address());
  std::remove(options_.admin_address_file.c_str());
  const auto admin = v1::WorkerAdminService::NewStub(
      MakeChannel(address, grpc::InsecureChannelCredentials()));
  {
    grpc::ClientContext context;
    SetTestDeadline(&context);
    v1::LoadModelRequest request;
    request.set_path("tales-target-q8_0.gguf");
    const auto reader = admin->LoadModel(&context, request);
    v1::LoadModelResponse response;
    double progress = 0;
    while (reader->Read(&response) && response.has_progress()) {
      EXPECT_GT(response.progress(), progress);
      progress = response.progress();
    }
    EXPECT_EQ(response.loaded().model().model_id(), "tales-target-q8_0");
    EXPECT_GT(response.loaded().weight_bytes(), 0);
    ASSERT_TRUE(reader->Finish().ok());
  }
  // The service has no admin, and the admin server nothing else.
  {
    grpc::ClientContext context;
    SetTestDeadline(&context);
    v1::ListWorkerModelsResponse response;
    EXPECT_EQ(v1::WorkerAdminService::NewStub(channel_)
                  ->ListWorkerModels(&context, {}, &response)
                  .error_code(),
              grpc::StatusCode::UNIMPLEMENTED);
  }
  DecodeCall call(stub_.get());
  v1::DecodeRequest open = OpenRequest({1, 300}, 100);
  open.mutable_open()->set_model_id("tales-target-q8_0");
  ASSERT_TRUE(call.Write(open));
  ASSERT_TRUE(call.Read().has_value());
  const auto unload = [&admin] {
    grpc::ClientContext context;
    SetTestDeadline(&context);
    v1::UnloadModelRequest request;
    request.set_model_id("tales-target-q8_0");
    v1::UnloadModelResponse response;
    return admin->UnloadModel(&context, request, &response).error_code();
  };
  EXPECT_EQ(unload(), grpc::StatusCode::FAILED_PRECONDITION);
  ASSERT_TRUE(call.WritesDone());
  EXPECT_TRUE(call.Finish().ok());
  while (unload() == grpc::StatusCode::FAILED_PRECONDITION) {
    absl::SleepFor(absl::Milliseconds(5));  // the stream is about to be gone
  }
  EXPECT_EQ(unload(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(WorkerServerTest, NoModelGoesBeforeTheStartIsOver) {
  options_.models = {{.id = "small", .path = kDraftModel}};
  options_.admin_listen = "127.0.0.1:0";
  Listen();
  const auto admin = v1::WorkerAdminService::NewStub(MakeChannel(
      server_->admin_address(), grpc::InsecureChannelCredentials()));
  const auto unload = [&admin] {
    grpc::ClientContext context;
    SetTestDeadline(&context);
    v1::UnloadModelRequest request;
    request.set_model_id("small");
    v1::UnloadModelResponse response;
    return admin->UnloadModel(&context, request, &response);
  };
  const grpc::Status early = unload();
  EXPECT_EQ(early.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(early.error_message(), HasSubstr("it starts with"));
  ASSERT_TRUE(server_->Load().ok());
  EXPECT_TRUE(unload().ok());
}

TEST_F(WorkerServerTest, StrangersCanNotReachTheAdminService) {
  for (const char* address :
       {"0.0.0.0:0", "[::]:0", "192.0.2.1:1", "nonsense", "example.com:70"}) {
    options_.admin_listen = address;
    const absl::Status status = WorkerServer::Listen(options_).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << address;
    EXPECT_THAT(std::string(status.message()), HasSubstr("--admin-listen"));
  }
  // Not even where the service itself may be reached without TLS.
  options_.server.insecure_listen = true;
  options_.admin_listen = "0.0.0.0:0";
  EXPECT_FALSE(WorkerServer::Listen(options_).ok());
}

TEST_F(WorkerServerTest, AKeyFileGuardsTheAdminServiceAlone) {
  const std::string key = DrawApiKey();
  const TemporaryKeyFile file(
      OneTenantFile("operator", HashOfApiKey(key), {Scope::kAdmin}));
  options_.server.keys = file.path();
  options_.admin_listen = "127.0.0.1:0";
  Listen();
  const auto call = [](const std::string& address, const std::string& shown,
                       const std::string& method) {
    return CallMethod(ChannelWithKey(address, shown), "/tandem.v1." + method)
        .error_code();
  };
  constexpr char kList[] = "WorkerAdminService/ListWorkerModels";
  const std::string& admin = server_->admin_address();
  EXPECT_EQ(call(admin, "", kList), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(call(admin, key, kList), grpc::StatusCode::OK);
  EXPECT_EQ(AskReflection(admin), grpc::StatusCode::UNAUTHENTICATED);
  // A coordinator shows no key.
  EXPECT_EQ(call(server_->address(), "", "WorkerService/Describe"),
            call(server_->address(), key, "WorkerService/Describe"));
  EXPECT_NE(call(server_->address(), "", "WorkerService/Describe"),
            grpc::StatusCode::UNAUTHENTICATED);
  file.Replace(KeyFile());
  server_->Reload();
  EXPECT_EQ(call(admin, key, kList), grpc::StatusCode::UNAUTHENTICATED);
  file.Replace("{");
  server_->Reload();  // keeps the keys of before
  EXPECT_EQ(WorkerServer::Listen(options_).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(WorkerServerTest, ReflectionIsServedWhereItIsAskedFor) {
  options_.admin_listen = "127.0.0.1:0";
  for (const bool asked : {false, true, false}) {
    server_.reset();
    options_.server.reflection = asked;
    Listen();
    const grpc::StatusCode expected =
        asked ? grpc::StatusCode::OK : grpc::StatusCode::UNIMPLEMENTED;
    EXPECT_EQ(AskReflection(server_->address()), expected);
    EXPECT_EQ(AskReflection(server_->admin_address()), expected);
  }
}

TEST_F(WorkerServerTest, AnAddressInUseIsRefusedWithOneWording) {
  const std::string path =
      absl::StrCat(::testing::TempDir(), "worker-taken-", getpid(), ".sock");
  for (const std::string& address :
       {std::string("127.0.0.1:0"), absl::StrCat("unix:", path)}) {
    options_.server.listen = address;
    Listen();
    WorkerOptions second = options_;
    second.server.listen = server_->address();
    const absl::Status status = WorkerServer::Listen(second).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(status.message(),
              absl::StrCat("--listen ", server_->address(),
                           ": is in use: another server listens there; stop "
                           "it, or choose another address"));
    EXPECT_EQ(Health(""), "SERVING") << "the first one is still reached";
    second = options_;
    second.server.listen = "127.0.0.1:0";
    second.admin_listen = server_->address();
    EXPECT_THAT(std::string(WorkerServer::Listen(second).status().message()),
                HasSubstr("--admin-listen " + server_->address() +
                          ": is in use: another server"));
    server_.reset();
  }
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
