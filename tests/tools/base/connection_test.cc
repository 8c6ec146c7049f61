#include "tools/tandem/base/connection.h"

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "services/access/api_key.h"
#include "services/common/channel.h"
#include "tandem/v1/worker.grpc.pb.h"
#include "tests/services/common/test_certificates.h"
#include "tests/tools/fake_service.h"
#include "tests/tools/run_tandem.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// One of each command that connects; LOCATION stands for its address.
std::vector<std::vector<std::string>> Commands(const std::string& location) {
  return {{"models", "--coordinator", location},
          {"generate", "Once", "--coordinator", location},
          {"tokenize", "Once", "--coordinator", location},
          {"detokenize", "1", "--coordinator", location},
          {"health", location},
          {"admin", "models", "--admin", location},
          {"bench", "serve", "--coordinator", location}};
}

TEST(ConnectionTest, AddressesOfAnotherFormAreWrongUsage) {
  for (const auto& arguments : Commands("http://127.0.0.1:7070")) {
    const RunResult result = RunTandem(arguments);
    EXPECT_EQ(result.code, 2) << arguments[0] << ": " << result.err;
    EXPECT_THAT(result.err,
                HasSubstr("http://127.0.0.1:7070: is a URL; an address has no "
                          "http://: give 127.0.0.1:7070"));
  }
  EXPECT_THAT(RunTandem({"models", "--coordinator", "localhost"}).err,
              HasSubstr("--coordinator localhost: has no port"));
  EXPECT_THAT(RunTandem({"admin", "models", "--admin", "x:0"}).err,
              HasSubstr("--admin x:0: port 0"));
}

TEST(ConnectionTest, NobodyListens) {
  for (const auto& arguments : Commands("127.0.0.1:1")) {
    const RunResult result = RunTandem(arguments);
    EXPECT_EQ(result.code, 1) << arguments[0] << ": " << result.err;
    EXPECT_THAT(result.err, HasSubstr("127.0.0.1:1: nobody listens there; "));
    EXPECT_THAT(result.err, Not(HasSubstr("last error"))) << "of gRPC";
  }
}

TEST(ConnectionTest, SaysWhatTheHandshakeSaid) {
  TestCertificates files;
  files.MakeCa("ca");
  files.MakeSigned("server", "ca");
  grpc::ServerBuilder builder;
  ConfigureServer(&builder);
  int port = 0;
  builder.AddListeningPort(
      "127.0.0.1:0",
      UncheckedServerCredentials({.cert = files.CertPath("server"),
                                  .key = files.KeyPath("server"),
                                  .client_ca = files.CertPath("ca")}),
      &port);
  v1::WorkerService::Service service;
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  for (auto arguments : Commands(absl::StrCat("127.0.0.1:", port))) {
    EXPECT_THAT(RunTandem(arguments).err,
                HasSubstr("the server speaks TLS and this side does not: give "
                          "--tls-ca"));
    arguments.push_back("--tls-ca=" + files.CertPath("ca"));
    const RunResult result = RunTandem(arguments);
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.err, HasSubstr("asks for a client's certificate"));
    EXPECT_THAT(result.err, HasSubstr("give --tls-cert and --tls-key"));
  }
}

// The variables are there, and only --http-proxy makes them mean something.
TEST(ConnectionTest, ProxiesAreAskedForAndThenNamed) {
  for (const char* name :
       {"grpc_proxy", "https_proxy", "no_proxy", "no_grpc_proxy"}) {
    unsetenv(name);
  }
  ASSERT_EQ(setenv("http_proxy", "http://user:secret@127.0.0.1:1", 1), 0);
  FakeService service;
  service.SetServing("tandem.ready", true);
  RunResult result = RunTandem({"health", service.address()});
  EXPECT_EQ(result.code, 0) << result.err;
  result = RunTandem({"health", service.address(), "--http-proxy"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("through the proxy of http_proxy"));
  EXPECT_THAT(result.err, Not(HasSubstr("secret")));
  // gRPC takes no proxy there, so there is none to blame.
  EXPECT_THAT(RunTandem({"health", "unix:/nonexistent", "--http-proxy"}).err,
              HasSubstr("there is no such socket"));
  for (const char* name : {"no_proxy", "no_grpc_proxy"}) {
    ASSERT_EQ(setenv(name, "example.org,0.0.1", 1), 0);
    result = RunTandem({"health", service.address(), "--http-proxy"});
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_THAT(RunTandem({"health", "127.0.0.1:1", "--http-proxy"}).err,
                HasSubstr("nobody listens there"));
    unsetenv(name);
  }
  unsetenv("http_proxy");
}

TEST(ConnectionTest, ARequestThatIsTooLargeIsNamed) {
  FakeService service;
  for (const char* command : {"generate", "tokenize"}) {
    const RunResult result =
        RunTandem({command, "--coordinator", service.address()},
                  std::string(kRequestBytesMax + 1, 'a'));
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.err, HasSubstr(absl::StrCat(
                                "the text is longer than the coordinator at ",
                                service.address(),
                                " takes: a request has at "
                                "most 4194304 bytes and this one 41943")));
  }
}

TEST(ConnectionTest, AnAnswerThatIsTooLargeIsNoRequest) {
  FakeService service;
  service.texts = {std::string(kResponseBytesMax - 10, 'a')};
  const RunResult result =
      RunTandem({"generate", "p", "--coordinator", service.address()});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("the answer of the coordinator at"));
  EXPECT_THAT(result.err, HasSubstr("ask for less"));
  EXPECT_THAT(result.err, Not(HasSubstr("the request")));
}

TEST(ConnectionTest, NoAnswerInTimeIsExplained) {
  FakeService service;
  service.error = absl::DeadlineExceededError("Deadline Exceeded");
  const RunResult result =
      RunTandem({"models", "--coordinator", service.address()});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err,
              HasSubstr("cannot reach the coordinator at " + service.address() +
                        ": it has not answered in 30 seconds; its "
                        "log may say why (Deadline Exceeded)"));
}

TEST(ConnectionTest, TheKeyGoesWithTheCalls) {
  FakeService service;
  const std::string key = DrawApiKey();
  for (auto arguments : Commands(service.address())) {
    // The last has no admin service; probes' health needs no key.
    if (arguments[0] == "admin" || arguments[0] == "health") continue;
    if (arguments[0] == "bench") arguments.push_back("--requests=2");
    (void)RunTandem(arguments);
    EXPECT_EQ(service.last_authorization(), "") << arguments[0];
    arguments.push_back("--key-file=-");
    (void)RunTandem(arguments, key + "\n");
    EXPECT_EQ(service.last_authorization(), "Bearer " + key) << arguments[0];
  }
}

}  // namespace
}  // namespace tandem::cli
