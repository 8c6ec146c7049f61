#include "services/worker/server/watch_hub.h"

#include <gtest/gtest.h>

#include "tests/services/worker/worker_fixture.h"

namespace tandem {
namespace {

v1::WatchResponse Report(int streams, std::vector<int64_t> costs_us) {
  v1::WatchResponse report;
  v1::ModelLoad* model = report.add_models();
  model->set_streams_open(streams);
  int rows = 0;
  for (const int64_t cost_us : costs_us) {
    v1::StepCost* cost = model->add_step_costs();
    cost->set_rows(++rows);
    cost->set_step_us(cost_us);
  }
  return report;
}

TEST(WatchHubNewsTest, FiguresAndCosts) {
  EXPECT_FALSE(IsNews(Report(1, {100}), Report(1, {100})));
  EXPECT_FALSE(IsNews(Report(1, {100}), Report(1, {119})));
  EXPECT_TRUE(IsNews(Report(1, {100}), Report(1, {121})));
  EXPECT_TRUE(IsNews(Report(1, {100}), Report(1, {79})));
  EXPECT_TRUE(IsNews(Report(1, {0}), Report(1, {1})));
  EXPECT_TRUE(IsNews(Report(1, {100}), Report(1, {100, 100})));
  EXPECT_TRUE(IsNews(Report(1, {}), Report(2, {})));
  v1::WatchResponse other_rows = Report(1, {100});
  other_rows.mutable_models(0)->mutable_step_costs(0)->set_rows(2);
  EXPECT_TRUE(IsNews(Report(1, {100}), other_rows));
  v1::WatchResponse changed = Report(1, {});
  changed.set_draining(true);
  EXPECT_TRUE(IsNews(Report(1, {}), changed));
  changed = Report(1, {});
  changed.mutable_models(0)->set_kv_pages_free(3);
  EXPECT_TRUE(IsNews(Report(1, {}), changed));
  changed = Report(1, {});
  changed.mutable_models(0)->set_kv_pages_cached(3);
  EXPECT_TRUE(IsNews(Report(1, {}), changed));
  changed = Report(1, {});
  changed.mutable_models(0)->set_requests_pending(3);
  EXPECT_TRUE(IsNews(Report(1, {}), changed));
  changed = Report(1, {});
  changed.mutable_models(0)->set_streams_queued(3);
  EXPECT_TRUE(IsNews(Report(1, {}), changed));
  changed = Report(1, {});
  changed.set_models_generation(2);
  EXPECT_TRUE(IsNews(Report(1, {}), changed));
  v1::WatchResponse one = Report(1, {});
  one.add_models()->set_requests_pending(1);
  EXPECT_TRUE(IsNews(Report(1, {}), one));
  EXPECT_FALSE(IsNews(one, one));
  changed = one;
  changed.mutable_models(1)->set_requests_pending(2);
  EXPECT_TRUE(IsNews(one, changed));
  v1::WatchResponse shared = Report(1, {});
  shared.mutable_models(0)->set_sequences_per_step(4);
  EXPECT_TRUE(IsNews(Report(1, {}), shared));
  changed = shared;
  changed.mutable_models(0)->set_sequences_per_step(4.7);
  EXPECT_FALSE(IsNews(shared, changed));
  changed.mutable_models(0)->set_sequences_per_step(5);
  EXPECT_TRUE(IsNews(shared, changed));
}

using WatchStreamTest = WorkerFixture;

class WatchCall {
 public:
  explicit WatchCall(v1::WorkerService::Stub* stub) {
    SetTestDeadline(&context_);
    reader_ = stub->Watch(&context_, v1::WatchRequest());
  }
  ~WatchCall() {
    context_.TryCancel();
    Finish();
  }
  std::optional<v1::WatchResponse> Read() {
    v1::WatchResponse report;
    if (!reader_->Read(&report)) return std::nullopt;
    return report;
  }
  grpc::Status Finish() {
    while (Read().has_value()) {
    }
    if (!status_.has_value()) status_ = reader_->Finish();
    return *status_;
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::WatchResponse>> reader_;
  std::optional<grpc::Status> status_;
};

TEST_F(WatchStreamTest, FirstReportThenChanges) {
  Start(v1::WORKER_ROLE_DRAFT);
  WatchCall watch(stub_.get());
  const auto first = watch.Read();
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->models(0).streams_open(), 0);
  EXPECT_EQ(first->models(0).kv_pages_total(), 1000);
  EXPECT_EQ(first->models(0).kv_pages_free(), 1000);
  EXPECT_EQ(first->models(0).kv_pages_cached(), 7);
  EXPECT_EQ(first->models(0).kv_page_tokens(), 16);
  EXPECT_FALSE(first->draining());
  EXPECT_EQ(first->models(0).step_costs_size(), 0);

  DecodeCall call(stub_.get());
  ASSERT_TRUE(call.Write(OpenRequest({1, 3})));
  while (const auto report = watch.Read()) {
    if (report->models(0).streams_open() == 1 &&
        report->models(0).kv_pages_free() == 999 &&
        report->models(0).step_costs_size() > 0) {
      EXPECT_GE(report->models(0).step_costs(0).rows(), 1);
      break;
    }
  }
  service_.StartDraining();
  while (const auto report = watch.Read()) {
    if (report->draining()) break;
  }
}

TEST_F(WatchStreamTest, ReportsComeWithoutChanges) {
  Start(v1::WORKER_ROLE_DRAFT);
  WatchCall watch(stub_.get());
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(watch.Read().has_value());
}

TEST_F(WatchStreamTest, ShutdownEndsTheStreams) {
  Start(v1::WORKER_ROLE_DRAFT);
  WatchCall watch(stub_.get());
  ASSERT_TRUE(watch.Read().has_value());
  service_.EndWatches();
  EXPECT_EQ(watch.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  WatchCall late(stub_.get());
  EXPECT_EQ(late.Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(WatchStreamTest, WatchersAreBounded) {
  Start(v1::WORKER_ROLE_DRAFT);
  std::vector<std::unique_ptr<WatchCall>> watches;
  for (int i = 0; i < kWatchersMax; ++i) {
    watches.push_back(std::make_unique<WatchCall>(stub_.get()));
  }
  for (const auto& watch : watches) ASSERT_TRUE(watch->Read().has_value());
  WatchCall late(stub_.get());
  EXPECT_EQ(late.Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(WatchStreamTest, APlaceIsFreeSoonAfterItsPeerHasGone) {
  Start(v1::WORKER_ROLE_DRAFT);
  std::vector<std::unique_ptr<WatchCall>> watches;
  for (int i = 0; i < kWatchersMax; ++i) {
    watches.push_back(std::make_unique<WatchCall>(stub_.get()));
  }
  for (const auto& watch : watches) ASSERT_TRUE(watch->Read().has_value());
  watches.pop_back();
  const absl::Time gone = absl::Now();
  while (!WatchCall(stub_.get()).Read().has_value()) {
    // Before the next report, at which a lost peer is found in any case.
    ASSERT_LT(absl::Now(), gone + kWatchIntervalMax);
    absl::SleepFor(absl::Milliseconds(50));
  }
}

}  // namespace
}  // namespace tandem
