#include "services/access/access_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <string>

#include "engine/base/error_reason.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

TEST(AccessMetricsTest, CountsDenialsAndSaysWhetherTheFileIsRefused) {
  prometheus::Registry registry;
  const AccessMetrics metrics(registry);
  const auto served = [&registry] {
    return prometheus::TextSerializer().Serialize(registry.Collect());
  };
  EXPECT_THAT(served(),
              HasSubstr("tandem_denied_calls_total{reason=\"INVALID_KEY\"} 0"));
  EXPECT_THAT(served(), HasSubstr("tandem_key_file_refused 0"));
  metrics.OnDenied(kReasonMissingScope);
  metrics.SetKeyFileRefused(true);
  EXPECT_THAT(
      served(),
      HasSubstr("tandem_denied_calls_total{reason=\"MISSING_SCOPE\"} 1"));
  EXPECT_THAT(served(), HasSubstr("tandem_key_file_refused 1"));
  metrics.SetKeyFileRefused(false);
  EXPECT_THAT(served(), HasSubstr("tandem_key_file_refused 0"));
}

}  // namespace
}  // namespace tandem
