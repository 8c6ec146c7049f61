#include "tools/tandem/health_client.h"

#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "services/common/channel.h"
#include "tests/tools/fake_service.h"

namespace tandem::cli {
namespace {

TEST(HealthClientTest, ReadsEveryState) {
  FakeService service;
  service.SetServing("yes", true);
  service.SetServing("no", false);
  const auto channel =
      MakeChannel(service.address(), grpc::InsecureChannelCredentials());
  EXPECT_EQ(*CheckHealth(channel, "yes", absl::Seconds(10)), Serving::kServing);
  EXPECT_EQ(*CheckHealth(channel, "no", absl::Seconds(10)),
            Serving::kNotServing);
  EXPECT_EQ(*CheckHealth(channel, "", absl::Seconds(10)), Serving::kServing);
  EXPECT_TRUE(absl::IsNotFound(
      CheckHealth(channel, "unknown", absl::Seconds(10)).status()));
}

TEST(HealthClientTest, NobodyAnswers) {
  const auto channel =
      MakeChannel("unix:/nonexistent", grpc::InsecureChannelCredentials());
  EXPECT_TRUE(absl::IsUnavailable(
      CheckHealth(channel, "", absl::Seconds(10)).status()));
}

TEST(HealthClientTest, Names) {
  EXPECT_EQ(ServingName(Serving::kServing), "SERVING");
  EXPECT_EQ(ServingName(Serving::kNotServing), "NOT_SERVING");
  EXPECT_EQ(ServingName(Serving::kUnknown), "UNKNOWN");
}

}  // namespace
}  // namespace tandem::cli
