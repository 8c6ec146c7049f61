#include "services/common/listen/metrics_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <sys/socket.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/monotonic_clock.h"
#include "services/common/address.h"

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
        MetricsServer::Start(flags, {.registry = registry_, .refresh = [this] {
                                       gauge_.Set(++level_);
                                     }});
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

// A connection that has sent `begin`.
Descriptor Begin(const MetricsServer& server, absl::string_view begin) {
  const SocketAddresses list = *LookUpHost(*ParseHostPort(server.address()));
  Descriptor client(socket(list->ai_family, SOCK_STREAM, 0));
  EXPECT_EQ(connect(client.number(), list->ai_addr, list->ai_addrlen), 0);
  EXPECT_EQ(send(client.number(), begin.data(), begin.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(begin.size()));
  return client;
}

// All that comes until the server closes.
std::string ReadAll(const Descriptor& client) {
  std::string all;
  char bytes[4096];
  ssize_t count = 0;
  while ((count = recv(client.number(), bytes, sizeof(bytes), 0)) > 0) {
    all.append(bytes, static_cast<size_t>(count));
  }
  return all;
}

TEST_F(MetricsServerTest, SlowSendersKeepNobodyOut) {
  ASSERT_TRUE(Start({.listen = "127.0.0.1:0", .insecure_listen = false}).ok());
  std::vector<Descriptor> slow;
  const absl::Time begin = MonotonicNow();
  for (size_t i = 0; i < 3 * kMetricsConnectionsMax; ++i) {
    slow.push_back(Begin(*server_, "GET /metrics HT"));
  }
  EXPECT_EQ(Get("/metrics")->status, 200);
  EXPECT_LT(MonotonicNow() - begin, kMetricsTimeLimit);
  // The first had to make way, the last has its time.
  EXPECT_EQ(ReadAll(slow.front()), "");
  EXPECT_LT(MonotonicNow() - begin, kMetricsTimeLimit);
  std::thread sender([&slow] {
    for (const char c : absl::string_view("TP/1.1\r\nHost: a")) {
      absl::SleepFor(absl::Milliseconds(400));
      (void)send(slow.back().number(), &c, 1, MSG_NOSIGNAL);
    }
  });
  EXPECT_EQ(ReadAll(slow.back()), "");
  const absl::Duration took = MonotonicNow() - begin;
  EXPECT_GE(took, kMetricsTimeLimit - absl::Milliseconds(100));
  EXPECT_LT(took, 2 * kMetricsTimeLimit);
  sender.join();
}

TEST_F(MetricsServerTest, HeadersHaveAnEnd) {
  ASSERT_TRUE(Start({.listen = "127.0.0.1:0", .insecure_listen = false}).ok());
  const Descriptor client =
      Begin(*server_, "GET /metrics HTTP/1.1\r\nHost: a\r\n");
  const std::string header =
      absl::StrCat("X: ", std::string(1000, 'x'), "\r\n");
  // It is answered after 8 KiB; the rest is dropped.
  for (int i = 0; i < 100; ++i) {
    (void)send(client.number(), header.data(), header.size(), MSG_NOSIGNAL);
  }
  EXPECT_THAT(ReadAll(client), ::testing::StartsWith("HTTP/1.1 431 "));
}

TEST_F(MetricsServerTest, ALateReaderGetsAll) {
  ASSERT_TRUE(Start({.listen = "127.0.0.1:0", .insecure_listen = false}).ok());
  // More than the system buffers.
  auto& family = prometheus::BuildGauge().Name("many").Register(*registry_);
  constexpr int kSeries = 20000;
  for (int i = 0; i < kSeries; ++i) {
    family.Add({{"of", absl::StrCat(std::string(500, 'x'), i)}});
  }
  const Descriptor client =
      Begin(*server_, "GET /metrics HTTP/1.0\r\n\r\nand more");
  absl::SleepFor(absl::Milliseconds(100));
  EXPECT_EQ(Get("/")->status, 404) << "others are served meanwhile";
  const std::string answer = ReadAll(client);
  EXPECT_THAT(answer, ::testing::StartsWith("HTTP/1.1 200 OK"));
  EXPECT_THAT(answer, HasSubstr(absl::StrCat(kSeries - 1, "\"} 0")));
}

}  // namespace
}  // namespace tandem
