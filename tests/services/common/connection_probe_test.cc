#include "services/common/connection_probe.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/monotonic_clock.h"
#include "services/identity/certificate_store.h"
#include "tandem/v1/worker.grpc.pb.h"
#include "tests/services/common/silent_server.h"
#include "tests/services/common/test_certificates.h"

namespace tandem {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class ConnectionProbeTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    files_ = new TestCertificates();
    files_->MakeCa("ca");
    files_->MakeCa("other-ca");
    files_->MakeSigned("server", "ca");
    files_->MakeSigned("client", "ca");
    files_->MakeSigned("stranger", "other-ca");
    files_->MakeSigned("expired", "ca", {.days = -1});
  }
  static void TearDownTestSuite() { delete files_; }
  ~ConnectionProbeTest() override {
    if (server_ != nullptr) server_->Shutdown();
  }

  void Serve(const ServerTlsFiles& tls,
             const std::string& address = "127.0.0.1:0") {
    grpc::ServerBuilder builder;
    ConfigureServer(&builder);
    int port = 0;
    // As the servers of tandem have them, where they would start.
    const auto credentials = certificates_.ForServer(tls);
    builder.AddListeningPort(
        address,
        credentials.ok() ? *credentials : UncheckedServerCredentials(tls),
        &port);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    address_ = absl::StrCat("127.0.0.1:", port);
  }
  static ServerTlsFiles Server(absl::string_view name,
                               const std::string& client_ca = "") {
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
  std::string Problem(const ChannelTlsFiles& files,
                      const std::string& server_name = "") {
    return ProbeConnection(
               {.server = {.address = address_, .server_name = server_name},
                .files = files})
        .problem;
  }

  static TestCertificates* files_;
  CertificateStore certificates_;
  v1::WorkerService::Service service_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

TestCertificates* ConnectionProbeTest::files_ = nullptr;

TEST_F(ConnectionProbeTest, NothingIsWrong) {
  Serve({});
  EXPECT_EQ(Problem({}), "");
  server_->Shutdown();
  Serve(Server("server"));
  EXPECT_EQ(Problem(Client("ca")), "");
  EXPECT_EQ(Problem(Client("ca"), "localhost"), "");
  server_->Shutdown();
  Serve(Server("server", "ca"));
  EXPECT_EQ(Problem(Client("ca", "client")), "");
}

TEST_F(ConnectionProbeTest, NobodyListens) {
  const struct {
    const char* address;
    const char* text;
  } cases[] = {{"127.0.0.1:1", "nobody listens there"},
               {"unix:/nonexistent", "there is no such socket"},
               {"dns:///localhost:1", "nobody listens there"}};
  for (const auto& [address, text] : cases) {
    const ConnectionFindings found =
        ProbeConnection({.server = {.address = address}});
    EXPECT_FALSE(found.connected);
    EXPECT_EQ(found.problem, text) << address;
  }
  address_ = absl::StrCat(std::string(64, 'a'), ":1");  // too long for a label
  EXPECT_THAT(Problem({}), HasSubstr("does not resolve"));
}

TEST_F(ConnectionProbeTest, TlsOnOneSideOnly) {
  Serve(Server("server"));
  EXPECT_EQ(Problem({}),
            "the server speaks TLS and this side does not: give --tls-ca with "
            "the authority that signed its certificate");
  server_->Shutdown();
  Serve(Server("server", "ca"));
  EXPECT_THAT(Problem({}),
              HasSubstr("and --tls-cert and --tls-key, since it asks"));
  server_->Shutdown();
  Serve({});
  EXPECT_THAT(Problem(Client("ca")),
              HasSubstr("the server speaks no TLS: leave out --tls-ca"));
}

TEST_F(ConnectionProbeTest, TheServersCertificate) {
  Serve(Server("server"));
  EXPECT_THAT(Problem(Client("other-ca")),
              AllOf(HasSubstr("signed by no authority in " +
                              files_->CertPath("other-ca")),
                    HasSubstr("--tls-ca must name the one that signed it")));
  EXPECT_THAT(Problem(Client("ca"), "elsewhere"),
              HasSubstr("is for localhost, 127.0.0.1 and not for elsewhere"));
  EXPECT_THAT(Problem(Client("ca"), "127.0.0.2"),
              HasSubstr("is for localhost, 127.0.0.1 and not for 127.0.0.2"));
  server_->Shutdown();
  Serve(Server("expired"));
  EXPECT_THAT(Problem(Client("ca")),
              HasSubstr("is not valid: certificate has expired; renew it"));
}

TEST_F(ConnectionProbeTest, TheClientsCertificate) {
  Serve(Server("server", "ca"));
  EXPECT_THAT(Problem(Client("ca")),
              AllOf(HasSubstr("the server asks for a client's certificate"),
                    HasSubstr(": give --tls-cert and --tls-key")));
  for (const char* identity : {"stranger", "expired"}) {
    EXPECT_THAT(Problem(Client("ca", identity)),
                AllOf(HasSubstr("the server does not take the certificate " +
                                files_->CertPath(identity)),
                      HasSubstr("--tls-client-ca")));
  }
}

// The flags of the other program that connects.
TEST_F(ConnectionProbeTest, NamesTheFlagsOfItsCaller) {
  Serve(Server("server", "ca"));
  EXPECT_THAT(ProbeConnection({.server = {.address = address_},
                               .files = {},
                               .flags = kWorkerTlsFlags})
                  .problem,
              AllOf(HasSubstr("--worker-ca"), HasSubstr("--worker-cert")));
}

TEST_F(ConnectionProbeTest, AServerThatDoesNotAnswer) {
  const SilentServer server;
  for (const ChannelTlsFiles& files : {ChannelTlsFiles(), Client("ca")}) {
    const absl::Time begin = MonotonicNow();
    const ConnectionFindings found =
        ProbeConnection({.server = {.address = server.address()},
                         .files = files,
                         .timeout = absl::Milliseconds(200)});
    EXPECT_TRUE(found.connected);
    EXPECT_THAT(found.problem,
                HasSubstr("takes connections and does not answer"));
    EXPECT_GE(MonotonicNow() - begin, absl::Milliseconds(200));
  }
}

TEST_F(ConnectionProbeTest, NamesAreNotLookedUpWhereTheyMayNot) {
  for (const auto& [address, problem] :
       {std::pair("127.0.0.1:1", "nobody listens there"),
        std::pair("localhost:1", "")}) {
    EXPECT_EQ(ProbeConnection(
                  {.server = {.address = address}, .names = NameLookup::kNever})
                  .problem,
              problem);
  }
}

}  // namespace
}  // namespace tandem
