// Metrics and traces of a whole coordinator.

#include <gmock/gmock.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/coordinator/server/coordinator_server.h"
#include "tests/services/coordinator/service_fixture.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kTraceparent[] =
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
constexpr char kTraceId[] = "4bf92f3577b34da6a3ce929d0e0e4736";

class CoordinatorObservabilityTest : public ServiceFixture {
 protected:
  void StartWithMetrics() {
    target_ = std::make_unique<FakeWorker>();
    draft_ = std::make_unique<FakeWorker>(
        FakeWorkerOptions{.role = v1::WORKER_ROLE_DRAFT});
    CoordinatorOptions options = Options();
    options.metrics.listen = "127.0.0.1:0";
    StartCoordinator(options);
    WaitFor([this] { return server_->ready(); });
  }

  // The value of a series, by its name with labels; -1: it is not there.
  double Value(const std::string& series) {
    httplib::Client client(absl::StrCat("http://", server_->metrics_address()));
    const httplib::Result result = client.Get("/metrics");
    if (!result || result->status != 200) return -1;
    for (const absl::string_view line : absl::StrSplit(result->body, '\n')) {
      const std::vector<absl::string_view> parts = absl::StrSplit(line, ' ');
      double value = 0;
      if (parts.size() == 2 && parts[0] == series &&
          absl::SimpleAtod(parts[1], &value)) {
        return value;
      }
    }
    return -1;
  }
};

TEST_F(CoordinatorObservabilityTest, CountsWhatTurnsDid) {
  StartWithMetrics();
  v1::GenerateRequest request = Request("w0 w1", 100);
  request.mutable_turn()->mutable_options()->set_draft_length(4);
  request.mutable_turn()->mutable_options()->set_ignore_eos(true);
  int64_t tokens = 0;
  int64_t accepted = 0;
  for (int i = 0; i < 3; ++i) {
    const Outcome outcome = Generate(request);
    ASSERT_TRUE(outcome.has_ended) << outcome.status.error_message();
    tokens += outcome.ended.usage().generated_tokens();
    accepted += outcome.ended.speculation().accepted_tokens();
  }
  EXPECT_EQ(Value("tandem_generation_tokens_total"), tokens);
  EXPECT_EQ(Value("tandem_request_success_total{finished_reason=\"length\"}"),
            3);
  EXPECT_EQ(Value("tandem_time_to_first_token_seconds_count"), 3);
  EXPECT_EQ(
      Value("tandem_spec_decode_num_accepted_tokens_total{source=\"model\"}"),
      accepted);
  EXPECT_EQ(Value("tandem_num_requests_running"), 0);
  EXPECT_EQ(Value("tandem_sessions"), 3);
  EXPECT_EQ(Value("tandem_workers{role=\"target\",state=\"usable\"}"), 1);
  EXPECT_EQ(Value("tandem_workers{role=\"draft\",state=\"usable\"}"), 1);
}

TEST_F(CoordinatorObservabilityTest, CountsFailures) {
  StartWithMetrics();
  EXPECT_FALSE(Generate(Request("w1", -1)).status.ok());
  EXPECT_EQ(Value("tandem_request_failure_total{reason=\"INVALID_OPTIONS\"}"),
            1);
}

TEST_F(CoordinatorObservabilityTest, ServesNoMetricsUnlessAsked) {
  StartAll();
  EXPECT_EQ(server_->metrics_address(), "");
}

TEST_F(CoordinatorObservabilityTest, ATakenMetricsPortIsAnError) {
  StartWithMetrics();
  CoordinatorOptions options = Options();
  options.metrics.listen = server_->metrics_address();
  const auto second = CoordinatorServer::Start(options);
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr("--metrics-listen"));
}

TEST_F(CoordinatorObservabilityTest, ATraceGoesToWorkersAndIntoErrors) {
  StartWithMetrics();
  const auto run = [this](int max_tokens) {
    grpc::ClientContext context;
    context.AddMetadata("traceparent", kTraceparent);
    const auto reader = stub_->Generate(&context, Request("w1", max_tokens));
    v1::GenerateResponse event;
    while (reader->Read(&event)) {
    }
    return reader->Finish();
  };
  ASSERT_TRUE(run(5).ok());
  EXPECT_EQ(target_->service().last_traceparent(), kTraceparent);

  const grpc::Status failed = run(-1);
  ASSERT_FALSE(failed.ok());
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(failed.error_details()));
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(details.details(0).UnpackTo(&info));
  EXPECT_EQ(info.metadata().at("trace_id"), kTraceId);

  ASSERT_TRUE(Generate(Request("w1", 5)).status.ok());
  EXPECT_EQ(target_->service().last_traceparent(), "") << "none came";
}

}  // namespace
}  // namespace tandem
