#include "services/gateway/server/gateway_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

namespace tandem::gateway {
namespace {

using ::testing::HasSubstr;

TEST(GatewayMetricsTest, CountsRequestsByRouteAndStatus) {
  GatewayMetrics metrics;
  metrics.CountRequest("chat", 200);
  metrics.CountRequest("chat", 200);
  metrics.CountRequest("models", 401);
  metrics.streams().Increment();
  const std::string text =
      prometheus::TextSerializer().Serialize(metrics.registry()->Collect());
  EXPECT_THAT(text, HasSubstr("tandem_http_requests_total{route=\"chat\","
                              "status=\"200\"} 2"));
  EXPECT_THAT(text, HasSubstr("tandem_http_requests_total{route=\"models\","
                              "status=\"401\"} 1"));
  EXPECT_THAT(text, HasSubstr("tandem_http_streams 1"));
  EXPECT_THAT(text, HasSubstr("tandem_connections_refused_total{bound="));
}

}  // namespace
}  // namespace tandem::gateway
