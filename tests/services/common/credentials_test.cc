#include "services/common/credentials.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>

#include "absl/strings/str_cat.h"
#include "services/common/channel.h"
#include "tandem/v1/worker.grpc.pb.h"
#include "tests/services/common/test_certificates.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

class DescribeService : public v1::WorkerService::Service {
  grpc::Status Describe(grpc::ServerContext*, const v1::DescribeRequest*,
                        v1::DescribeResponse* response) override {
    response->set_version("test");
    return grpc::Status::OK;
  }
};

class TlsTest : public ::testing::Test {
 protected:
  TlsTest() {
    files_.MakeCa("ca");
    files_.MakeCa("other-ca");
    files_.MakeSigned("server", "ca");
    files_.MakeSigned("client", "ca");
    files_.MakeSigned("stranger", "other-ca");
    files_.MakeSigned("expired", "ca", -1);
  }

  ~TlsTest() override {
    if (server_ != nullptr) server_->Shutdown();
  }

  void Serve(const ServerTlsFiles& tls) {
    const auto credentials = MakeServerCredentials(tls);
    ASSERT_TRUE(credentials.ok()) << credentials.status();
    grpc::ServerBuilder builder;
    ConfigureServer(&builder);
    builder.AddListeningPort("127.0.0.1:0", *credentials, &port_);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
    ASSERT_NE(port_, 0);
  }

  // One call over a new channel.
  grpc::Status Call(const ChannelTlsFiles& tls,
                    const std::string& server_name = "") {
    const auto credentials = MakeChannelCredentials(tls);
    EXPECT_TRUE(credentials.ok()) << credentials.status();
    const auto channel =
        MakeChannel(NamedAddress{.address = absl::StrCat("127.0.0.1:", port_),
                                 .server_name = server_name},
                    *credentials);
    const auto stub = v1::WorkerService::NewStub(channel);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(60));
    v1::DescribeResponse response;
    return stub->Describe(&context, v1::DescribeRequest(), &response);
  }

  ServerTlsFiles Server(absl::string_view name,
                        const std::string& client_ca = "") const {
    return {.cert = files_.CertPath(name),
            .key = files_.KeyPath(name),
            .client_ca = client_ca};
  }
  ChannelTlsFiles Client(absl::string_view ca,
                         absl::string_view identity = "") const {
    if (identity.empty()) {
      return {.ca = files_.CertPath(ca), .cert = "", .key = ""};
    }
    return {.ca = files_.CertPath(ca),
            .cert = files_.CertPath(identity),
            .key = files_.KeyPath(identity)};
  }

  TestCertificates files_;
  DescribeService service_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

TEST_F(TlsTest, PlaintextOnBothSides) {
  Serve({});
  EXPECT_TRUE(Call({}).ok());
}

TEST_F(TlsTest, ServerCertificate) {
  Serve(Server("server"));
  const grpc::Status status = Call(Client("ca"));
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(Call(Client("other-ca")).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  // Plaintext to a TLS port.
  EXPECT_EQ(Call({}).error_code(), grpc::StatusCode::UNAVAILABLE);
}

// An address that a name resolved to: the certificate must have the name.
TEST_F(TlsTest, ServerCertificateOfAName) {
  Serve(Server("server"));
  const grpc::Status status = Call(Client("ca"), "localhost");
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(Call(Client("ca"), "elsewhere").error_code(),
            grpc::StatusCode::UNAVAILABLE);
}

TEST_F(TlsTest, MutualTls) {
  Serve(Server("server", files_.CertPath("ca")));
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

TEST_F(TlsTest, ExpiredServerCertificate) {
  Serve(Server("expired"));
  EXPECT_EQ(Call(Client("ca")).error_code(), grpc::StatusCode::UNAVAILABLE);
}

std::string ServerError(const ServerTlsFiles& files) {
  const absl::Status status = MakeServerCredentials(files).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message().find('\n'), absl::string_view::npos);
  return std::string(status.message());
}

std::string ChannelError(const ChannelTlsFiles& files) {
  const absl::Status status = MakeChannelCredentials(files).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message().find('\n'), absl::string_view::npos);
  return std::string(status.message());
}

TEST_F(TlsTest, WrongServerFilesAreNamed) {
  const std::string cert = files_.CertPath("server");
  const std::string key = files_.KeyPath("server");
  EXPECT_THAT(ServerError({.cert = cert, .key = "", .client_ca = ""}),
              HasSubstr("--tls-key"));
  EXPECT_THAT(ServerError({.cert = "", .key = key, .client_ca = ""}),
              HasSubstr("--tls-cert"));
  EXPECT_THAT(ServerError({.cert = "", .key = "", .client_ca = cert}),
              HasSubstr("--tls-client-ca"));
  const std::string missing = files_.Path("missing");
  EXPECT_THAT(ServerError({.cert = missing, .key = key, .client_ca = ""}),
              HasSubstr(missing));
  EXPECT_THAT(ServerError({.cert = cert, .key = missing, .client_ca = ""}),
              HasSubstr(missing));
  EXPECT_THAT(ServerError({.cert = cert, .key = key, .client_ca = missing}),
              HasSubstr(missing));
  const std::string garbage = files_.Write("garbage", "not a PEM file");
  EXPECT_THAT(ServerError({.cert = garbage, .key = key, .client_ca = ""}),
              HasSubstr("no PEM certificate"));
  EXPECT_THAT(ServerError({.cert = cert, .key = garbage, .client_ca = ""}),
              HasSubstr("no PEM private key"));
  EXPECT_THAT(ServerError({.cert = cert, .key = key, .client_ca = garbage}),
              HasSubstr(garbage));
  EXPECT_THAT(
      ServerError(
          {.cert = cert, .key = files_.KeyPath("client"), .client_ca = ""}),
      HasSubstr("is not the private key"));
  EXPECT_THAT(
      ServerError({.cert = files_.Path(""), .key = key, .client_ca = ""}),
      HasSubstr("can not be read"));
}

TEST_F(TlsTest, WrongChannelFilesAreNamed) {
  const std::string ca = files_.CertPath("ca");
  const std::string cert = files_.CertPath("client");
  const std::string key = files_.KeyPath("client");
  EXPECT_THAT(ChannelError({.ca = ca, .cert = cert, .key = ""}),
              HasSubstr("together"));
  EXPECT_THAT(ChannelError({.ca = "", .cert = cert, .key = key}),
              HasSubstr("CA"));
  const std::string missing = files_.Path("missing");
  EXPECT_THAT(ChannelError({.ca = missing, .cert = "", .key = ""}),
              HasSubstr(missing));
  EXPECT_THAT(
      ChannelError({.ca = ca, .cert = cert, .key = files_.KeyPath("server")}),
      HasSubstr("is not the private key"));
}

TEST(ListenAddressTest, LoopbackNeedsNothing) {
  for (const char* address :
       {"127.0.0.1:7070", "127.0.0.1:0", "127.9.9.9:65535", "localhost:1",
        "[::1]:7070", "unix:/tmp/x.sock", "unix:x"}) {
    EXPECT_TRUE(CheckListenAddress(address, {}, false).ok()) << address;
  }
}

TEST(ListenAddressTest, OthersNeedTlsOrTheFlag) {
  const ServerTlsFiles tls{.cert = "c", .key = "k", .client_ca = ""};
  for (const char* address :
       {"0.0.0.0:7070", "[::]:7070", "10.0.0.1:7070", "example.com:7070",
        "128.0.0.1:1", "[fe80::1]:1", "localhost.example.com:1"}) {
    const absl::Status status = CheckListenAddress(address, {}, false);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << address;
    EXPECT_THAT(std::string(status.message()), HasSubstr("--insecure-listen"));
    EXPECT_TRUE(CheckListenAddress(address, tls, false).ok()) << address;
    EXPECT_TRUE(CheckListenAddress(address, {}, true).ok()) << address;
  }
}

TEST(ListenAddressTest, MalformedIsRefusedEvenIfAllowed) {
  for (const char* address :
       {"", "7070", ":7070", "localhost", "localhost:", "localhost:x",
        "localhost:70 70", "localhost:+1", "localhost:-1", "localhost:65536",
        "localhost:999999", "::1:7070", "[::1]", "[x]:1", "[]:1",
        "unix:", "ipv4:127.0.0.1:1", "dns:///localhost:1"}) {
    const absl::Status status = CheckListenAddress(address, {}, true);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << address;
    EXPECT_THAT(std::string(status.message()), HasSubstr("host:port"));
  }
}

}  // namespace
}  // namespace tandem
