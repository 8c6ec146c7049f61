#include "services/identity/certificate_store.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "engine/base/monotonic_clock.h"
#include "services/common/channel.h"
#include "services/common/logging.h"
#include "tandem/v1/worker.grpc.pb.h"
#include "tests/engine/base/wall_clock.h"
#include "tests/services/common/test_certificates.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

// Answers with what gRPC knows of the caller.
class CallerService : public v1::WorkerService::Service {
  grpc::Status Describe(grpc::ServerContext* context,
                        const v1::DescribeRequest*,
                        v1::DescribeResponse* response) override {
    const auto peer = context->auth_context();
    std::vector<std::string> lines;
    for (const auto& [name, value] : *peer) {
      lines.push_back(absl::StrCat(std::string(name.data(), name.size()), "=",
                                   std::string(value.data(), value.size())));
    }
    lines.push_back(absl::StrCat("authenticated=", peer->IsPeerAuthenticated(),
                                 " by ", peer->GetPeerIdentityPropertyName()));
    std::sort(lines.begin(), lines.end());
    response->set_version(absl::StrJoin(lines, "\n"));
    return grpc::Status::OK;
  }
};

// One set of files for all tests; "live" is what a test replaces.
class CertificateStoreTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    DropLogs();  // of thousands of handshakes that fail
    files_ = new TestCertificates();
    files_->MakeCa("ca");
    files_->MakeCa("other-ca");
    files_->MakeSigned("server", "ca");
    files_->MakeSigned("other-server", "other-ca");
    files_->MakeSigned("client", "ca",
                       {.names = "DNS:client.example,URI:spiffe://a/client"});
    files_->MakeSigned("stranger", "other-ca");
    files_->MakeSigned("expired", "ca", {.days = -1});
  }
  static void TearDownTestSuite() { delete files_; }
  ~CertificateStoreTest() override {
    if (server_ != nullptr) server_->Shutdown();
  }

  static ServerTlsFiles Server(absl::string_view name,
                               absl::string_view client_ca = "") {
    return {.cert = files_->CertPath(name),
            .key = files_->KeyPath(name),
            .client_ca = client_ca.empty() ? "" : files_->CertPath(client_ca)};
  }
  static ChannelTlsFiles Client(absl::string_view ca,
                                absl::string_view identity = "") {
    return {.ca = files_->CertPath(ca),
            .cert = identity.empty() ? "" : files_->CertPath(identity),
            .key = identity.empty() ? "" : files_->KeyPath(identity)};
  }

  void ServeWith(const std::shared_ptr<grpc::ServerCredentials>& credentials) {
    if (server_ != nullptr) server_->Shutdown();
    grpc::ServerBuilder builder;
    ConfigureServer(&builder);
    builder.AddListeningPort("127.0.0.1:0", credentials, &port_);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    ASSERT_NE(port_, 0);
  }
  void Serve(const ServerTlsFiles& files) {
    const auto credentials = store_.ForServer(files);
    ASSERT_TRUE(credentials.ok()) << credentials.status();
    ServeWith(*credentials);
  }

  std::shared_ptr<grpc::Channel> Connect(
      const std::shared_ptr<grpc::ChannelCredentials>& credentials,
      const std::string& server_name = "") const {
    return MakeChannel(
        NamedAddress{.address = absl::StrCat("127.0.0.1:", port_),
                     .server_name = server_name},
        credentials);
  }
  grpc::Status CallOn(const std::shared_ptr<grpc::Channel>& channel) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(60));
    v1::DescribeResponse response;
    const grpc::Status status =
        v1::WorkerService::NewStub(channel)->Describe(&context, {}, &response);
    caller_ = response.version();
    return status;
  }
  // One call over a new channel; a peer's files may be wrong in any way.
  grpc::Status Call(const ChannelTlsFiles& files,
                    const std::string& server_name = "") {
    const auto credentials = store_.ForChannel(files);
    return CallOn(Connect(
        credentials.ok() ? *credentials : UncheckedChannelCredentials(files),
        server_name));
  }
  // How long it took until calls with `files` have the `code`.
  absl::Duration WaitForCode(const ChannelTlsFiles& files,
                             grpc::StatusCode code) {
    const absl::Time begin = absl::Now();
    while (Call(files).error_code() != code &&
           absl::Now() < begin + absl::Seconds(60)) {
      absl::SleepFor(absl::Milliseconds(20));
    }
    return absl::Now() - begin;
  }
  int64_t failures() const { return store_.States().at(0).reload_failures; }
  void WaitForFailure() const {
    while (failures() == 0) absl::SleepFor(absl::Milliseconds(10));
  }

  static TestCertificates* files_;
  CertificateStore store_;
  CallerService service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
  std::string caller_;  // of the last call
};

TestCertificates* CertificateStoreTest::files_ = nullptr;

// Two looks of a second each, and time for a busy machine.
constexpr absl::Duration kTakenWithin = absl::Seconds(2 + 8);

TEST_F(CertificateStoreTest, PlaintextOnBothSides) {
  Serve({});
  EXPECT_TRUE(Call({}).ok());
  EXPECT_TRUE(store_.States().empty());
}

TEST_F(CertificateStoreTest, ServerCertificate) {
  Serve(Server("server"));
  const grpc::Status status = Call(Client("ca"));
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(Call(Client("other-ca")).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  // Plaintext to a TLS port.
  EXPECT_EQ(Call({}).error_code(), grpc::StatusCode::UNAVAILABLE);
}

// An address that a name resolved to: the certificate must have the name.
TEST_F(CertificateStoreTest, ServerCertificateOfAName) {
  Serve(Server("server"));
  const grpc::Status status = Call(Client("ca"), "localhost");
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(Call(Client("ca"), "elsewhere").error_code(),
            grpc::StatusCode::UNAVAILABLE);
}

TEST_F(CertificateStoreTest, MutualTls) {
  Serve(Server("server", "ca"));
  const grpc::Status status = Call(Client("ca", "client"));
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(Call(Client("ca")).error_code(), grpc::StatusCode::UNAVAILABLE)
      << "no client certificate";
  EXPECT_EQ(Call(Client("ca", "stranger")).error_code(),
            grpc::StatusCode::UNAVAILABLE)
      << "signed by another CA";
  EXPECT_EQ(Call(Client("ca", "expired")).error_code(),
            grpc::StatusCode::UNAVAILABLE)
      << "expired";
  EXPECT_EQ(Call({}).error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(CertificateStoreTest, ExpiredServerCertificate) {
  ServeWith(UncheckedServerCredentials(Server("expired")));
  EXPECT_EQ(Call(Client("ca")).error_code(), grpc::StatusCode::UNAVAILABLE);
}

// Who a caller is does not depend on the kind of gRPC's credentials, whose
// name alone differs: those that watch files are called "tls", not "ssl".
TEST_F(CertificateStoreTest, CallersAreKnownAsWithFixedCredentials) {
  for (const char* client_ca : {"ca", ""}) {
    const ServerTlsFiles files = Server("server", client_ca);
    const ChannelTlsFiles client =
        *client_ca == '\0' ? Client("ca") : Client("ca", "client");
    ServeWith(UncheckedServerCredentials(files));
    ASSERT_TRUE(Call(client).ok());
    std::string fixed = caller_;
    const std::string type = "transport_security_type=";
    ASSERT_THAT(fixed, HasSubstr(type + "ssl"));
    fixed.replace(fixed.find(type) + type.size(), 3, "tls");
    Serve(files);
    ASSERT_TRUE(Call(client).ok());
    EXPECT_EQ(caller_, fixed);
    if (*client_ca == '\0') continue;
    for (const char* line :
         {"x509_common_name=client\n", "peer_dns=client.example\n",
          "peer_uri=spiffe://a/client\n", "authenticated=1 by "}) {
      EXPECT_THAT(caller_, HasSubstr(line));
    }
  }
}

// Whether a handshake of at most this version succeeds.
bool CanConnect(int port, int version) {
  SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(context, 0);
  SSL_CTX_set_max_proto_version(context, version);
  // The library's own level refuses old versions before the server can.
  SSL_CTX_set_cipher_list(context, "DEFAULT@SECLEVEL=0");
  constexpr uint8_t kHttp2[] = {2, 'h', '2'};
  SSL_CTX_set_alpn_protos(context, kHttp2, sizeof(kHttp2));
  BIO* const connection = BIO_new_ssl_connect(context);
  const std::string address = absl::StrCat("127.0.0.1:", port);
  BIO_set_conn_hostname(connection, address.c_str());
  const bool connected =
      BIO_do_connect(connection) == 1 && BIO_do_handshake(connection) == 1;
  BIO_free_all(connection);
  SSL_CTX_free(context);
  return connected;
}

TEST_F(CertificateStoreTest, Tls12IsTheLeast) {
  signal(SIGPIPE, SIG_IGN);
  Serve(Server("server"));
  EXPECT_TRUE(CanConnect(port_, TLS1_3_VERSION));
  EXPECT_TRUE(CanConnect(port_, TLS1_2_VERSION));
  EXPECT_FALSE(CanConnect(port_, TLS1_1_VERSION));
}

TEST_F(CertificateStoreTest, WrongFilesAreErrorsAtTheStart) {
  const auto error = [this](const ServerTlsFiles& files) {
    const absl::Status status = store_.ForServer(files).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  ServerTlsFiles files = Server("server", "ca");
  files.key = "";
  EXPECT_THAT(error(files), HasSubstr("--tls-key"));
  files.key = files_->KeyPath("client");
  EXPECT_THAT(error(files), HasSubstr("is not the private key"));
  EXPECT_THAT(error(Server("server", "missing")), HasSubstr("missing.pem"));
  EXPECT_THAT(error(Server("expired")), HasSubstr("has expired at"));
  ChannelTlsFiles client = Client("ca", "client");
  client.ca = "";
  EXPECT_EQ(store_.ForChannel(client).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(
      std::string(store_.ForChannel(Client("missing")).status().message()),
      HasSubstr("missing.pem"));
  EXPECT_TRUE(store_.States().empty());
}

TEST_F(CertificateStoreTest, NewFilesAreForNewConnections) {
  files_->Replace("live", "server");
  Serve(Server("live"));
  const auto channel = Connect(*store_.ForChannel(Client("ca")));
  ASSERT_TRUE(CallOn(channel).ok());
  EXPECT_EQ(Call(Client("other-ca")).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  const absl::Time before = store_.States().at(0).expiry;
  absl::SleepFor(absl::Milliseconds(1100));  // dates are whole seconds
  files_->MakeSigned("other-server", "other-ca", {.days = 2});
  files_->Replace("live", "other-server");
  EXPECT_LT(WaitForCode(Client("other-ca"), grpc::StatusCode::OK),
            kTakenWithin);
  EXPECT_EQ(Call(Client("ca")).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(CallOn(channel).ok()) << "its connection goes on";
  EXPECT_GT(store_.States().at(0).expiry, before);
  EXPECT_EQ(failures(), 0);
}

TEST_F(CertificateStoreTest, APairThatDoesNotFitIsNotUsed) {
  files_->Replace("live", "server");
  Serve(Server("live"));
  files_->Write("live.key", files_->Read("other-server.key"));
  WaitForFailure();
  // gRPC has looked too.
  absl::SleepFor(absl::Milliseconds(1500));
  EXPECT_TRUE(Call(Client("ca")).ok());
  EXPECT_EQ(failures(), 1) << "once, not at each look";
  files_->Write("live.pem", files_->Read("other-server.pem"));
  EXPECT_LT(WaitForCode(Client("other-ca"), grpc::StatusCode::OK),
            kTakenWithin);
  EXPECT_EQ(failures(), 1);
}

TEST_F(CertificateStoreTest, FilesThatAreGoneChangeNothing) {
  files_->Replace("live", "server");
  Serve(Server("live", "ca"));
  ASSERT_EQ(unlink(files_->CertPath("live").c_str()), 0);
  WaitForFailure();
  absl::SleepFor(absl::Milliseconds(1500));
  EXPECT_TRUE(Call(Client("ca", "client")).ok());
}

TEST_F(CertificateStoreTest, TheWallClockMayBeSetMeanwhile) {
  files_->Replace("live", "server");
  // For the kernel, which waits by its own clock, this is set back later.
  const SetWallClock ahead(absl::Hours(1));
  ASSERT_TRUE(store_.ForServer(Server("live")).ok());
  files_->Write("live.pem", "not a PEM file");
  const absl::Time begin = MonotonicNow();
  while (failures() == 0 && MonotonicNow() < begin + absl::Seconds(30)) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_EQ(failures(), 1);
}

TEST_F(CertificateStoreTest, ReloadLooksAtOnce) {
  files_->Replace("live", "server");
  Serve(Server("live"));
  files_->Write("live.pem", "not a PEM file");
  store_.Reload();
  EXPECT_EQ(failures(), 1);
  files_->Replace("live", "expired");
  store_.Reload();
  EXPECT_EQ(failures(), 2);
  files_->Replace("live", "server");
  store_.Reload();
  EXPECT_EQ(failures(), 2);
  EXPECT_TRUE(Call(Client("ca")).ok());
}

// A coordinator's channels stand for as long as it runs.
TEST_F(CertificateStoreTest, AChannelConnectsWithNewFiles) {
  files_->Replace("live", "stranger");
  Serve(Server("server", "ca"));
  const auto credentials = store_.ForChannel(Client("ca", "live"));
  ASSERT_TRUE(credentials.ok()) << credentials.status();
  const auto channel = Connect(*credentials);
  EXPECT_EQ(CallOn(channel).error_code(), grpc::StatusCode::UNAVAILABLE);
  files_->Replace("live", "client");
  const absl::Time begin = absl::Now();
  while (!CallOn(channel).ok() && absl::Now() < begin + absl::Seconds(60)) {
    absl::SleepFor(absl::Milliseconds(20));
  }
  EXPECT_LT(absl::Now() - begin, kTakenWithin);
  EXPECT_THAT(caller_, HasSubstr("x509_common_name=client\n"));
}

TEST_F(CertificateStoreTest, AuthoritiesChangeToo) {
  files_->Write("live-ca.pem", files_->Read("ca.pem"));
  Serve(Server("server", "live-ca"));
  EXPECT_EQ(Call(Client("ca", "stranger")).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  files_->Write("live-ca.pem",
                files_->Read("ca.pem") + files_->Read("other-ca.pem"));
  EXPECT_LT(WaitForCode(Client("ca", "stranger"), grpc::StatusCode::OK),
            kTakenWithin);
  EXPECT_TRUE(Call(Client("ca", "client")).ok());
}

TEST_F(CertificateStoreTest, TheSameFilesAreReadOnce) {
  ASSERT_TRUE(store_.ForServer(Server("server", "ca")).ok());
  ASSERT_TRUE(store_.ForServer(Server("server", "ca")).ok());
  ASSERT_TRUE(store_.ForChannel(Client("ca", "client")).ok());
  ASSERT_TRUE(store_.ForChannel(Client("ca")).ok());
  ASSERT_TRUE(store_.ForChannel(Client("ca")).ok());
  const std::vector<CertificateState> states = store_.States();
  ASSERT_EQ(states.size(), 3u);
  EXPECT_EQ(states[0].use, CertificateUse::kServer);
  EXPECT_EQ(states[1].use, CertificateUse::kClient);
  EXPECT_LT(states[1].expiry, absl::InfiniteFuture());
  EXPECT_EQ(states[2].expiry, absl::InfiniteFuture()) << "it shows none";
}

}  // namespace
}  // namespace tandem
