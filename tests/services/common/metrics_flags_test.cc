#include "services/common/metrics_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace tandem {
namespace {

using ::testing::HasSubstr;

TEST(MetricsFlagsTest, OthersReachMetricsOnlyWhereThatIsAllowed) {
  const MetricsFlags open{.listen = "0.0.0.0:0", .insecure_listen = false};
  EXPECT_THAT(std::string(CheckMetricsFlags(open).message()),
              HasSubstr("--insecure-metrics-listen"));
  EXPECT_TRUE(
      CheckMetricsFlags({.listen = "0.0.0.0:0", .insecure_listen = true}).ok());
  EXPECT_TRUE(
      CheckMetricsFlags({.listen = "[::1]:0", .insecure_listen = false}).ok());
  EXPECT_TRUE(CheckMetricsFlags({.listen = "", .insecure_listen = false}).ok());
}

TEST(MetricsFlagsTest, OnlyPortsAreAddresses) {
  for (const char* bad :
       {"127.0.0.1", ":1", "127.0.0.1:65536", "unix:/tmp/x"}) {
    EXPECT_EQ(
        CheckMetricsFlags({.listen = bad, .insecure_listen = true}).code(),
        absl::StatusCode::kInvalidArgument)
        << bad;
  }
}

}  // namespace
}  // namespace tandem
