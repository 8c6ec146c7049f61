#include "services/common/listen/listening.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/monotonic_clock.h"
#include "services/common/address.h"
#include "services/identity/certificate_store.h"
#include "tandem/v1/worker.grpc.pb.h"
#include "tests/services/common/test_certificates.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

// Notes who called.
class PeerService : public v1::WorkerService::Service {
 public:
  grpc::Status Describe(grpc::ServerContext* context,
                        const v1::DescribeRequest*,
                        v1::DescribeResponse*) override {
    peer = context->peer();
    while (waits && !context->IsCancelled()) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    names.clear();
    for (const grpc::string_ref& name :
         context->auth_context()->FindPropertyValues("x509_common_name")) {
      names.emplace_back(name.data(), name.size());
    }
    return grpc::Status::OK;
  }
  grpc::Status GetTokenizer(
      grpc::ServerContext*, const v1::GetTokenizerRequest*,
      grpc::ServerWriter<v1::GetTokenizerResponse>*) override {
    return grpc::Status::OK;
  }

  bool waits = false;  // until the call is cancelled
  std::string peer;
  std::vector<std::string> names;
};

class ListeningTest : public ::testing::Test {
 protected:
  void Start(const std::string& listen, const ServerTlsFiles& tls = {},
             const ConnectionAge& age = {}) {
    const auto credentials = certificates_.ForServer(tls);
    ASSERT_TRUE(credentials.ok()) << credentials.status();
    auto server = StartServer({.flag = "--listen",
                               .address = listen,
                               .credentials = *credentials,
                               .age = age},
                              [this](grpc::ServerBuilder* builder) {
                                builder->RegisterService(&service_);
                              });
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  grpc::Status Describe(
      const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
    const auto stub = v1::WorkerService::NewStub(
        MakeChannel(server_->address(), credentials));
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(60));
    v1::DescribeResponse response;
    return stub->Describe(&context, {}, &response);
  }
  Descriptor Connect() {
    const HostPort at = *ParseHostPort(server_->address());
    const SocketAddresses list = *LookUpHost(at);
    Descriptor client(socket(list->ai_family, SOCK_STREAM, 0));
    EXPECT_EQ(connect(client.number(), list->ai_addr, list->ai_addrlen), 0);
    return client;
  }

  CertificateStore certificates_;
  PeerService service_;
  std::unique_ptr<ListeningServer> server_;
};

TEST_F(ListeningTest, ServesAtPorts) {
  Start("127.0.0.1:0");
  EXPECT_THAT(server_->address(), StartsWith("127.0.0.1:"));
  EXPECT_TRUE(Describe(grpc::InsecureChannelCredentials()).ok());
  EXPECT_THAT(service_.peer, StartsWith("ipv4:127.0.0.1:"));
  Start("0.0.0.0:0");
  EXPECT_TRUE(Describe(grpc::InsecureChannelCredentials()).ok());
  EXPECT_THAT(service_.peer, StartsWith("ipv4:127.0.0.1:"));
}

TEST_F(ListeningTest, ServesAtUnixSockets) {
  const std::string path =
      absl::StrCat(::testing::TempDir(), "listening-", getpid(), ".sock");
  Start(absl::StrCat("unix:", path));
  EXPECT_TRUE(Describe(grpc::InsecureChannelCredentials()).ok());
  EXPECT_THAT(service_.peer, StartsWith("unix:"));
  server_.reset();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(ListeningTest, ServesByMutualTls) {
  TestCertificates files;
  files.MakeCa("ca");
  files.MakeSigned("server", "ca");
  files.MakeSigned("client", "ca");
  Start("localhost:0", {.cert = files.CertPath("server"),
                        .key = files.KeyPath("server"),
                        .client_ca = files.CertPath("ca")});
  const auto credentials =
      certificates_.ForChannel({.ca = files.CertPath("ca"),
                                .cert = files.CertPath("client"),
                                .key = files.KeyPath("client")});
  ASSERT_TRUE(credentials.ok()) << credentials.status();
  const grpc::Status status = Describe(*credentials);
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(service_.names, ElementsAre("client"));
  EXPECT_FALSE(Describe(grpc::InsecureChannelCredentials()).ok());
  const auto nameless = certificates_.ForChannel(
      {.ca = files.CertPath("ca"), .cert = "", .key = ""});
  EXPECT_FALSE(Describe(*nameless).ok());
}

// Calls of one channel: the port of their peer is that of its connection.
class ConnectionAgeTest : public ListeningTest {
 protected:
  void Start(std::chrono::milliseconds max, std::chrono::milliseconds grace) {
    ListeningTest::Start("127.0.0.1:0", {}, {.max = max, .grace = grace});
    stub_ = v1::WorkerService::NewStub(
        MakeChannel(server_->address(), grpc::InsecureChannelCredentials()));
  }
  grpc::StatusCode Call() {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(60));
    v1::DescribeResponse response;
    return stub_->Describe(&context, {}, &response).error_code();
  }
  // Whether a call later has the connection of the one before.
  bool Stays() {
    EXPECT_EQ(Call(), grpc::StatusCode::OK);
    const std::string first = service_.peer;
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    EXPECT_EQ(Call(), grpc::StatusCode::OK);
    return service_.peer == first;
  }

  std::unique_ptr<v1::WorkerService::Stub> stub_;
};

TEST_F(ConnectionAgeTest, OldConnectionsGetNoNewCalls) {
  Start(std::chrono::milliseconds(50), std::chrono::seconds(60));
  EXPECT_FALSE(Stays());
  Start(std::chrono::milliseconds(0), std::chrono::milliseconds(0));
  EXPECT_TRUE(Stays());
}

TEST_F(ConnectionAgeTest, CallsEndAfterTheGrace) {
  service_.waits = true;
  Start(std::chrono::milliseconds(50), std::chrono::milliseconds(50));
  EXPECT_EQ(Call(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(ListeningTest, ASecondServerIsRefused) {
  Start("127.0.0.1:0");
  const auto add = [](grpc::ServerBuilder*) {};
  EXPECT_EQ(
      StartServer({.flag = "--listen", .address = server_->address()}, add)
          .status()
          .message(),
      absl::StrCat("--listen ", server_->address(),
                   ": is in use: another server listens there; stop it, or "
                   "choose another address"));
}

TEST_F(ListeningTest, AfterShutdownTheAddressIsFree) {
  Start("127.0.0.1:0");
  EXPECT_TRUE(Describe(grpc::InsecureChannelCredentials()).ok());
  const std::string address = server_->address();
  server_->Shutdown(std::chrono::system_clock::now());
  Start(address);
  EXPECT_TRUE(Describe(grpc::InsecureChannelCredentials()).ok());
}

// Both wait for the same time: together.
TEST_F(ListeningTest, WhoSaysNothingIsCutOff) {
  TestCertificates files;
  files.MakeCa("ca");
  files.MakeSigned("server", "ca");
  Start("127.0.0.1:0");
  const Descriptor plain = Connect();
  const auto plain_server = std::move(server_);
  Start("127.0.0.1:0", {.cert = files.CertPath("server"),
                        .key = files.KeyPath("server"),
                        .client_ca = ""});
  const Descriptor tls = Connect();
  const absl::Time begin = MonotonicNow();
  for (const Descriptor* client : {&plain, &tls}) {
    char bytes[100];
    // Without TLS the server says its settings first.
    while (recv(client->number(), bytes, sizeof(bytes), 0) > 0) {
    }
  }
  const absl::Duration took = MonotonicNow() - begin;
  EXPECT_GT(took, absl::Milliseconds(kConnectTimeoutMs) / 2);
  EXPECT_LT(took, absl::Milliseconds(kConnectTimeoutMs) * 3);
}

TEST_F(ListeningTest, CompressedMessagesAreRefused) {
  Start("127.0.0.1:0");
  // Ours do not compress.
  const auto channel = grpc::CreateChannel(server_->address(),
                                           grpc::InsecureChannelCredentials());
  const auto stub = v1::WorkerService::NewStub(channel);
  v1::GetTokenizerRequest request;
  request.set_model_id(std::string(1 << 20, 'a'));
  for (const grpc_compression_algorithm algorithm :
       {GRPC_COMPRESS_GZIP, GRPC_COMPRESS_DEFLATE, GRPC_COMPRESS_NONE}) {
    grpc::ClientContext context;
    context.set_compression_algorithm(algorithm);
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(60));
    const auto reader = stub->GetTokenizer(&context, request);
    v1::GetTokenizerResponse response;
    while (reader->Read(&response)) {
    }
    EXPECT_EQ(reader->Finish().error_code(),
              algorithm == GRPC_COMPRESS_NONE ? grpc::StatusCode::OK
                                              : grpc::StatusCode::UNIMPLEMENTED)
        << algorithm;
  }
}

TEST(AddressFileTest, IsWrittenInOneStep) {
  const std::string directory =
      absl::StrCat(::testing::TempDir(), "address-", getpid());
  std::filesystem::create_directory(directory);
  const std::string path = absl::StrCat(directory, "/file");
  std::ofstream(path) << "old and longer than the new one\n";
  ASSERT_TRUE(WriteAddressFile(path, "127.0.0.1:7").ok());
  std::ifstream file(path);
  std::string line;
  EXPECT_TRUE(std::getline(file, line));
  EXPECT_EQ(line, "127.0.0.1:7");
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) {
    files += entry.exists() ? 1 : 0;
  }
  EXPECT_EQ(files, 1) << "nothing temporary is left";
  EXPECT_TRUE(WriteAddressFile("", "x").ok());
  EXPECT_EQ(WriteAddressFile(directory, "x").code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(WriteAddressFile(absl::StrCat(directory, "/no/file"), "x").code(),
            absl::StatusCode::kInvalidArgument);
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace tandem
