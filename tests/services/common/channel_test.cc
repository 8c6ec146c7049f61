#include "services/common/channel.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/descriptor.h"
#include "tandem/v1/worker.grpc.pb.h"
#include "tests/services/common/reflection_probe.h"
#include "tests/services/common/silent_server.h"

namespace tandem {
namespace {

// Answers with as many bytes as the model id says.
class SizeService : public v1::WorkerService::Service {
 public:
  // Of the last call.
  std::string authorization() const {
    const absl::MutexLock lock(&mutex_);
    return authorization_;
  }

 private:
  grpc::Status GetTokenizer(
      grpc::ServerContext* context, const v1::GetTokenizerRequest* request,
      grpc::ServerWriter<v1::GetTokenizerResponse>* writer) override {
    const auto& metadata = context->client_metadata();
    const auto found = metadata.find(kAuthorizationKey);
    {
      const absl::MutexLock lock(&mutex_);
      authorization_ =
          found == metadata.end()
              ? ""
              : std::string(found->second.data(), found->second.size());
    }
    v1::GetTokenizerResponse response;
    response.set_chunk(std::string(request->model_id().size(), 'x'));
    writer->Write(response);
    return grpc::Status::OK;
  }

  mutable absl::Mutex mutex_;
  std::string authorization_ ABSL_GUARDED_BY(mutex_);
};

class ChannelTest : public ::testing::Test {
 protected:
  ChannelTest() {
    grpc::ServerBuilder builder;
    ConfigureServer(&builder);
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                             &port_);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    channel_ = MakeChannel(absl::StrCat("127.0.0.1:", port_),
                           grpc::InsecureChannelCredentials());
  }
  ~ChannelTest() override { server_->Shutdown(); }

  grpc::Status Call(size_t bytes, size_t metadata_bytes = 0) {
    const auto stub = v1::WorkerService::NewStub(channel_);
    grpc::ClientContext context;
    context.set_wait_for_ready(true);  // where a call cost the connection
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(60));
    if (metadata_bytes > 0) {
      context.AddMetadata("x-test", std::string(metadata_bytes, 'x'));
    }
    v1::GetTokenizerRequest request;
    request.set_model_id(std::string(bytes, 'x'));
    const auto reader = stub->GetTokenizer(&context, request);
    v1::GetTokenizerResponse response;
    while (reader->Read(&response)) EXPECT_EQ(response.chunk().size(), bytes);
    return reader->Finish();
  }

  SizeService service_;
  std::unique_ptr<grpc::Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  int port_ = 0;
};

TEST_F(ChannelTest, MessagesUpToTheLimit) {
  EXPECT_TRUE(Call(100).ok());
  EXPECT_TRUE(Call(kRequestBytesMax - 100).ok());
  EXPECT_EQ(Call(kRequestBytesMax + 100).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(Call(100).ok()) << "the connection is still good";
}

TEST_F(ChannelTest, ServerLimitsMessagesOfAnyClient) {
  grpc::ChannelArguments arguments;  // without a limit of its own
  channel_ =
      grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", port_),
                                grpc::InsecureChannelCredentials(), arguments);
  EXPECT_EQ(Call(kRequestBytesMax + 100).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(ChannelTest, MetadataIsLimited) {
  EXPECT_TRUE(Call(1, kMetadataBytesMax / 2).ok());
  EXPECT_FALSE(Call(1, kMetadataBytesMax * 2).ok());
  // The server lives. The refusal closes the connection, with the calls that
  // are on their way there: those say UNAVAILABLE, then one goes through.
  constexpr int kTries = 20;
  grpc::Status after = Call(1);
  for (int i = 1; i < kTries && !after.ok(); ++i) {
    ASSERT_EQ(after.error_code(), grpc::StatusCode::UNAVAILABLE);
    after = Call(1);
  }
  EXPECT_TRUE(after.ok()) << after.error_message();
}

TEST_F(ChannelTest, ReflectionIsOffUnlessAskedFor) {
  EXPECT_EQ(AskReflection(absl::StrCat("127.0.0.1:", port_)),
            grpc::StatusCode::UNIMPLEMENTED);
  SizeService second;
  grpc::ServerBuilder builder;
  ConfigureServer(&builder, Reflection::kOn);
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterService(&second);
  const auto server = builder.BuildAndStart();
  EXPECT_EQ(AskReflection(absl::StrCat("127.0.0.1:", port)),
            grpc::StatusCode::OK);
}

// A server that answers the first bytes late: the time for connecting is more
// than the back-off of 100 ms.
TEST_F(ChannelTest, ConnectingMayTakeTime) {
  const SilentServer listener;
  const auto late =
      MakeChannel(listener.address(), grpc::InsecureChannelCredentials());
  late->GetState(/*try_to_connect=*/true);
  const Descriptor accepted(accept(listener.number(), nullptr, nullptr));
  std::this_thread::sleep_for(std::chrono::milliseconds(1200));
  constexpr char kSettings[] = "\0\0\0\4\0\0\0\0";  // an empty frame
  ASSERT_EQ(send(accepted.number(), kSettings, 9, MSG_NOSIGNAL), 9);
  EXPECT_TRUE(
      late->WaitForConnected(std::chrono::system_clock::now() +
                             std::chrono::milliseconds(kConnectTimeoutMs)));
  pollfd more = {.fd = listener.number(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&more, 1, 0), 0) << "one connection is enough";
}

// Port 1 of this machine is no proxy: a channel that went there would fail.
TEST_F(ChannelTest, ProxiesOfTheEnvironmentAreForThoseWhoAsk) {
  for (const char* name : {"http_proxy", "https_proxy", "grpc_proxy"}) {
    ASSERT_EQ(setenv(name, "http://127.0.0.1:1", 1), 0);
  }
  for (const char* name : {"no_proxy", "no_grpc_proxy"}) unsetenv(name);
  const auto call = [this](HttpProxy proxy) {
    channel_ =
        MakeChannel(NamedAddress{.address = absl::StrCat("127.0.0.1:", port_)},
                    grpc::InsecureChannelCredentials(), {.proxy = proxy});
    return channel_->WaitForConnected(std::chrono::system_clock::now() +
                                      std::chrono::seconds(2));
  };
  EXPECT_TRUE(call(HttpProxy::kNever));
  EXPECT_FALSE(call(HttpProxy::kFromEnvironment));
  for (const char* name : {"http_proxy", "https_proxy", "grpc_proxy"}) {
    unsetenv(name);
  }
}

TEST_F(ChannelTest, AKeyGoesWithEachCall) {
  channel_ =
      MakeChannel(NamedAddress{.address = absl::StrCat("127.0.0.1:", port_)},
                  grpc::InsecureChannelCredentials(), {.bearer_key = "k"});
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(Call(10).ok());
    EXPECT_EQ(service_.authorization(), "Bearer k");
  }
}

}  // namespace
}  // namespace tandem
