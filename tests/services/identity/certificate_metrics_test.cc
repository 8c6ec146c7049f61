#include "services/identity/certificate_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <memory>
#include <string>

namespace tandem {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class CertificateMetricsTest : public ::testing::Test {
 protected:
  std::string Text() const {
    return prometheus::TextSerializer().Serialize(registry_.Collect());
  }

  prometheus::Registry registry_;
  CertificateMetrics metrics_{registry_};
};

TEST_F(CertificateMetricsTest, NothingWithoutTls) {
  metrics_.SetStates({});
  EXPECT_EQ(Text(), "");
}

TEST_F(CertificateMetricsTest, OneSeriesForEachUse) {
  const CertificateState server = {.use = CertificateUse::kServer,
                                   .expiry = absl::FromUnixSeconds(1800000000),
                                   .reload_failures = 2};
  const CertificateState client = {.use = CertificateUse::kClient,
                                   .expiry = absl::InfiniteFuture()};
  // Each scrape sets them again.
  for (int scrape = 0; scrape < 2; ++scrape) {
    metrics_.SetStates({server, client});
    EXPECT_THAT(Text(),
                HasSubstr("tandem_certificate_reload_failures_total{use="
                          "\"server\"} 2"));
    EXPECT_THAT(Text(),
                HasSubstr("tandem_certificate_reload_failures_total{use="
                          "\"client\"} 0"));
    EXPECT_THAT(Text(),
                HasSubstr("tandem_certificate_expiry_timestamp_seconds{use="
                          "\"server\"} 1800000000"));
    EXPECT_THAT(Text(), Not(HasSubstr("timestamp_seconds{use=\"client\"}")))
        << "it shows no certificate";
  }
}

}  // namespace
}  // namespace tandem
