#include "tools/tandem/base/health_check.h"

#include "gtest/gtest.h"
#include "tests/tools/fake_service.h"
#include "tools/tandem/base/connection.h"

namespace tandem::cli {
namespace {

using grpc::health::v1::HealthCheckResponse;

constexpr absl::Duration kTimeout = absl::Seconds(30);

TEST(HealthCheckTest, NobodyAnswers) {
  const auto channel = Connect("--listen", "unix:/nonexistent/socket", {});
  ASSERT_TRUE(channel.ok()) << channel.status();
  EXPECT_EQ(CheckHealth(*channel, "", kTimeout).status().code(),
            absl::StatusCode::kUnavailable);
}

TEST(HealthCheckTest, TellsTheStateOfAService) {
  FakeService service;
  const auto channel = Connect("--listen", service.address(), {});
  ASSERT_TRUE(channel.ok()) << channel.status();
  const auto state = CheckHealth(*channel, "", kTimeout);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_EQ(*state, HealthCheckResponse::SERVING);
  EXPECT_EQ(CheckHealth(*channel, "unknown", kTimeout).status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace tandem::cli
