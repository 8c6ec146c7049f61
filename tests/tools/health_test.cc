#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/services/common/silent_server.h"
#include "tests/tools/fake_service.h"
#include "tests/tools/run_tandem.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;

TEST(HealthTest, ServingIsSuccess) {
  FakeService service;
  service.SetServing("tandem.ready", true);
  RunResult result = RunTandem({"health", service.address()});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(result.out, "SERVING\n");
  result = RunTandem({"health", "--coordinator", service.address(), "--service",
                      "", "--json"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_EQ(nlohmann::json::parse(result.out)["status"], "SERVING");
}

TEST(HealthTest, NotServingIsFailure) {
  FakeService service;
  service.SetServing("tandem.ready", false);
  const RunResult result = RunTandem({"health", service.address()});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.out, "NOT_SERVING\n");
  EXPECT_THAT(result.err, HasSubstr("is NOT_SERVING for \"tandem.ready\""));
}

TEST(HealthTest, AnUnknownServiceIsNamed) {
  FakeService service;
  const RunResult result =
      RunTandem({"health", service.address(), "--service", "other"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("has no health service \"other\""));
}

TEST(HealthTest, NobodyAnswers) {
  const RunResult result =
      RunTandem({"health", "unix:/nonexistent", "--wait-ms", "150"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("cannot reach unix:/nonexistent"));
}

// With the reason, and within the five seconds of the probes in deploy/k8s.
TEST(HealthTest, AServerThatDoesNotAnswerIsNamedInTime) {
  const SilentServer server;
  const absl::Time begin = absl::Now();
  const RunResult result = RunTandem({"health", server.address()});
  EXPECT_LT(absl::Now() - begin, absl::Milliseconds(4800));
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("takes connections and does not answer"));
}

}  // namespace
}  // namespace tandem::cli
