#include "services/common/metrics_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>

#include <atomic>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

class MetricsServerTest : public ::testing::Test {
 protected:
  MetricsServerTest()
      : counter_(prometheus::BuildCounter()
                     .Name("tandem_things_total")
                     .Help("Things.")
                     .Register(*registry_)
                     .Add({{"kind", "good"}})),
        gauge_(prometheus::BuildGauge()
                   .Name("tandem_level")
                   .Help("Level.")
                   .Register(*registry_)
                   .Add({})) {}

  absl::Status Start(const MetricsFlags& flags) {
    absl::StatusOr<std::unique_ptr<MetricsServer>> server =
        MetricsServer::Start(flags, registry_,
                             [this] { gauge_.Set(++level_); });
    if (!server.ok()) return server.status();
    server_ = *std::move(server);
    return absl::OkStatus();
  }

  httplib::Result Get(const std::string& path) {
    httplib::Client client(absl::StrCat("http://", server_->address()));
    return client.Get(path.c_str());
  }

  std::shared_ptr<prometheus::Registry> registry_ =
      std::make_shared<prometheus::Registry>();
  prometheus::Counter& counter_;
  prometheus::Gauge& gauge_;
  std::atomic<int> level_{0};
  std::unique_ptr<MetricsServer> server_;
};

TEST_F(MetricsServerTest, ServesWhatWasCounted) {
  ASSERT_TRUE(Start({.listen = "127.0.0.1:0", .insecure_listen = false}).ok());
  counter_.Increment(3);
  const httplib::Result first = Get("/metrics");
  ASSERT_TRUE(first);
  EXPECT_EQ(first->status, 200);
  EXPECT_EQ(first->get_header_value("Content-Type"),
            "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_THAT(first->body, HasSubstr("# TYPE tandem_things_total counter"));
  EXPECT_THAT(first->body, HasSubstr("tandem_things_total{kind=\"good\"} 3"));
  EXPECT_THAT(first->body, HasSubstr("tandem_level 1"));
  EXPECT_THAT(Get("/metrics")->body, HasSubstr("tandem_level 2"))
      << "gauges are brought up to date at each scrape";
}

TEST_F(MetricsServerTest, ServesNothingElse) {
  ASSERT_TRUE(Start({.listen = "127.0.0.1:0", .insecure_listen = false}).ok());
  for (const char* path : {"/", "/metrics/", "/metrics/../etc/passwd"}) {
    EXPECT_EQ(Get(path)->status, 404) << path;
  }
}

TEST_F(MetricsServerTest, ATakenPortIsAnError) {
  ASSERT_TRUE(Start({.listen = "127.0.0.1:0", .insecure_listen = false}).ok());
  const std::unique_ptr<MetricsServer> first = std::move(server_);
  const absl::Status status =
      Start({.listen = first->address(), .insecure_listen = false});
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("--metrics-listen"));
}

TEST_F(MetricsServerTest, OthersReachItOnlyWhereThatIsAllowed) {
  const MetricsFlags open{.listen = "0.0.0.0:0", .insecure_listen = false};
  EXPECT_THAT(std::string(CheckMetricsFlags(open).message()),
              HasSubstr("--insecure-metrics-listen"));
  EXPECT_TRUE(
      CheckMetricsFlags({.listen = "0.0.0.0:0", .insecure_listen = true}).ok());
  EXPECT_TRUE(
      CheckMetricsFlags({.listen = "[::1]:0", .insecure_listen = false}).ok());
  EXPECT_TRUE(CheckMetricsFlags({.listen = "", .insecure_listen = false}).ok());
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
