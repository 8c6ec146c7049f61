#include "services/worker/server/worker_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

class WorkerMetricsTest : public ::testing::Test {
 protected:
  void ExpectLine(const std::string& line) {
    const std::string text = absl::StrCat(
        "\n",
        prometheus::TextSerializer().Serialize(metrics_.registry()->Collect()));
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\n", line, "\n")));
  }

  WorkerMetrics metrics_{v1::WORKER_ROLE_DRAFT};
};

TEST_F(WorkerMetricsTest, ShowsTheLoadOfAllModels) {
  WorkerLevels levels;
  v1::ModelLoad* first = levels.load.add_models();
  first->set_streams_open(4);
  first->set_streams_queued(2);
  first->set_requests_pending(3);
  first->set_kv_pages_total(60);
  first->set_kv_pages_free(40);
  first->set_kv_pages_cached(10);
  v1::ModelLoad* second = levels.load.add_models();
  second->set_streams_open(3);
  second->set_requests_pending(1);
  second->set_kv_pages_total(40);
  second->set_kv_pages_free(35);
  second->set_kv_pages_cached(20);
  levels.ready = true;
  metrics_.SetLevels(levels);
  ExpectLine("tandem_num_requests_running 5");
  ExpectLine("tandem_num_requests_waiting 2");
  ExpectLine("tandem_requests_pending 4");
  ExpectLine("tandem_kv_cache_usage_perc 0.25");
  ExpectLine("tandem_kv_pages{state=\"reserved\"} 25");
  ExpectLine("tandem_kv_pages{state=\"cached\"} 30");
  ExpectLine("tandem_kv_pages{state=\"empty\"} 45");
  ExpectLine("tandem_ready 1");
  ExpectLine("tandem_engine_stalled 0");
  levels.ready = false;
  levels.stalled = true;
  metrics_.SetLevels(levels);
  ExpectLine("tandem_ready 0");
  ExpectLine("tandem_engine_stalled 1");
}

TEST_F(WorkerMetricsTest, AWorkerWithoutAModelHasNoKv) {
  metrics_.SetLevels({});
  ExpectLine("tandem_kv_cache_usage_perc 0");
}

TEST_F(WorkerMetricsTest, CountsPasses) {
  metrics_.OnStep(
      {.ok = true, .decode_rows = 5, .prompt_rows = 64, .step_us = 70000});
  metrics_.OnStep(
      {.ok = true, .decode_rows = 1, .prompt_rows = 0, .step_us = 30000});
  metrics_.OnStep(
      {.ok = false, .decode_rows = 9, .prompt_rows = 0, .step_us = 1});
  ExpectLine("tandem_step_seconds_count 2");
  ExpectLine("tandem_step_seconds_bucket{le=\"0.06\"} 1");
  ExpectLine("tandem_step_rows_bucket{le=\"64\"} 1");
  ExpectLine("tandem_step_rows_bucket{le=\"128\"} 2");
  ExpectLine("tandem_rows_total{kind=\"decode\"} 6");
  ExpectLine("tandem_rows_total{kind=\"prompt\"} 64");
  ExpectLine("tandem_step_failures_total 1");
}

TEST_F(WorkerMetricsTest, TellsItsRole) {
  ExpectLine("tandem_build_info{role=\"draft\",version=\"0.1.0\"} 1");
}

}  // namespace
}  // namespace tandem
