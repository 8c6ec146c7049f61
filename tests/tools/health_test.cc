#include "gmock/gmock.h"
#include "gtest/gtest.h"
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

}  // namespace
}  // namespace tandem::cli
