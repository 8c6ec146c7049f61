#include "services/coordinator/workers/worker_report.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace tandem {
namespace {

v1::ModelLoad* AddModel(v1::WatchResponse* report, const std::string& id,
                        int streams, int64_t pass_us) {
  v1::ModelLoad* const model = report->add_models();
  model->set_model_id(id);
  model->set_streams_open(streams);
  for (const int rows : {1, 64}) {
    v1::StepCost* const cost = model->add_step_costs();
    cost->set_rows(rows);
    cost->set_step_us(pass_us);
  }
  return model;
}

TEST(ReadReportTest, KeepsTheModelsApart) {
  v1::WatchResponse report;
  report.set_takes_turns(true);
  v1::ModelLoad* const first = AddModel(&report, "a", 4, 1000);
  first->set_streams_queued(1);
  first->set_requests_pending(2);
  first->set_kv_pages_free(5);
  first->set_kv_pages_cached(3);
  first->set_kv_pages_total(9);
  first->set_kv_page_tokens(32);
  first->set_sequences_per_step(2.5);
  AddModel(&report, "b", 0, 20000);
  const std::vector<ModelReport> models = ReadReport(report);
  ASSERT_EQ(models.size(), 2u);
  EXPECT_EQ(models[0].model_id, "a");
  EXPECT_EQ(models[0].load, (WorkerLoad{.streams = 4,
                                        .requests_pending = 2,
                                        .streams_queued = 1,
                                        .kv_pages_free = 5,
                                        .kv_pages_cached = 3,
                                        .kv_pages_total = 9,
                                        .kv_page_tokens = 32}));
  EXPECT_EQ(models[0].costs->passes.At(1), 1000);
  EXPECT_EQ(models[0].costs->sequences, 2.5);
  EXPECT_EQ(models[0].costs->streams, 3);
  EXPECT_TRUE(models[0].costs->takes_turns);
  EXPECT_EQ(models[1].model_id, "b");
  EXPECT_EQ(models[1].costs->passes.At(1), 20000);
  EXPECT_EQ(models[1].costs->sequences, 1);
  // The first has three streams that compute; the second has none.
  EXPECT_EQ(models[1].load,
            (WorkerLoad{.other_streams = 3, .other_pass_us = 1000}));
}

TEST(ReadReportTest, LeavesOutWhatMakesNoSense) {
  v1::WatchResponse report;
  v1::ModelLoad* const model = report.add_models();
  model->set_streams_open(-3);
  model->set_streams_queued(-2);
  model->set_requests_pending(std::numeric_limits<int32_t>::min());
  model->set_sequences_per_step(std::nan(""));
  for (const auto& [rows, us] :
       {std::pair(1, 10), {4, 40}, {4, 50}, {2, 20}, {8, -1}, {9, 90}}) {
    v1::StepCost* const cost = model->add_step_costs();
    cost->set_rows(rows);
    cost->set_step_us(us);
  }
  const std::vector<ModelReport> models = ReadReport(report);
  ASSERT_EQ(models.size(), 1u);
  EXPECT_EQ(models[0].load, WorkerLoad());
  EXPECT_EQ(models[0].costs->streams, 0);
  EXPECT_EQ(models[0].costs->sequences, 1);
  std::vector<int> rows;
  for (const StepCost& cost : models[0].costs->passes.costs()) {
    rows.push_back(cost.rows);
  }
  EXPECT_EQ(rows, (std::vector<int>{1, 4, 9}));
}

TEST(ReadReportTest, CountsOfManyModelsCanBeAddedUp) {
  v1::WatchResponse report;
  for (const char* id : {"a", "b", "c", "d"}) {
    v1::ModelLoad* const model =
        AddModel(&report, id, std::numeric_limits<int32_t>::max(), 1000);
    model->set_streams_queued(std::numeric_limits<int32_t>::min());
    model->set_requests_pending(std::numeric_limits<int32_t>::max());
    model->set_kv_pages_free(-5);
    model->set_kv_pages_total(std::numeric_limits<int64_t>::max());
    model->set_kv_page_tokens(std::numeric_limits<int32_t>::max());
  }
  const WorkerLoad load = ReadReport(report)[0].load;
  EXPECT_EQ(load.streams, 1 << 20);
  EXPECT_EQ(load.other_streams, 3 << 20);
  EXPECT_EQ(load.kv_pages_free, 0);
  EXPECT_EQ(load.kv_pages_total, int64_t{1} << 40);
}

TEST(ReadReportTest, NothingWhereThereIsNoModel) {
  EXPECT_TRUE(ReadReport(v1::WatchResponse()).empty());
}

struct SeenEvents : WorkerStreamEvents {
  void OnOpened(const OpenedSequence& sequence) override {
    opened.push_back(sequence);
  }
  void OnAnswer(WorkerAnswer answer) override { answers.push_back(answer); }
  void OnScored(WorkerScores score) override { scores.push_back(score); }
  void OnClosed(const absl::Status&) override { FAIL(); }

  std::vector<OpenedSequence> opened;
  std::vector<WorkerScores> scores;
  std::vector<WorkerAnswer> answers;
};

TEST(DeliverResponseTest, CallsWhatItIsFor) {
  SeenEvents events;
  v1::DecodeResponse response;
  DeliverResponse(response, &events);
  EXPECT_TRUE(events.opened.empty() && events.answers.empty());

  response.mutable_opened()->set_fingerprint("fp");
  response.mutable_opened()->set_cached_tokens(-1);
  response.mutable_opened()->set_queued_us(7);
  DeliverResponse(response, &events);
  ASSERT_EQ(events.opened.size(), 1u);
  EXPECT_EQ(events.opened[0].fingerprint, "fp");
  EXPECT_EQ(events.opened[0].cached_tokens, -1);
  EXPECT_EQ(events.opened[0].queued_us, 7);

  // More ids than log-probabilities.
  v1::DecodedTokens& decoded = *response.mutable_decoded();
  decoded.set_position(5);
  decoded.set_compute_us(10);
  decoded.set_served_us(30);
  decoded.add_token_ids(3);
  decoded.add_token_ids(-4);
  decoded.add_logprobs()->set_logprob(-0.5f);
  DeliverResponse(response, &events);
  ASSERT_EQ(events.answers.size(), 1u);
  const WorkerAnswer& answer = events.answers[0];
  EXPECT_EQ(answer.position, 5);
  EXPECT_EQ(answer.compute_us, 10);
  EXPECT_EQ(answer.served_us, 30);
  ASSERT_EQ(answer.tokens.size(), 2u);
  EXPECT_EQ(answer.tokens[0].id, 3);
  EXPECT_EQ(answer.tokens[0].logprob, -0.5f);
  EXPECT_EQ(answer.tokens[1].id, -4);
  EXPECT_EQ(answer.tokens[1].logprob, 0);

  v1::ScoredTokens& scored = *response.mutable_scored();
  scored.set_position(7);
  scored.add_logprobs()->set_logprob(-0.25f);
  v1::TokenLogprob* const alternative =
      scored.mutable_logprobs(0)->add_alternatives();
  alternative->set_token_id(4);
  alternative->set_logprob(-0.125f);
  scored.add_is_greedy(true);
  DeliverResponse(response, &events);
  // One that does not say of each whether it is greedy.
  scored.add_logprobs();
  DeliverResponse(response, &events);
  ASSERT_EQ(events.scores.size(), 2u);
  EXPECT_EQ(events.scores[0].position, 7);
  const ScoredToken first = {
      .token = {.logprob = -0.25f,
                .alternatives = {{.id = 4, .logprob = -0.125f}}},
      .is_greedy = true};
  EXPECT_EQ(events.scores[0].tokens, std::vector<ScoredToken>{first});
  EXPECT_TRUE(events.scores[1].tokens.empty());
}

}  // namespace
}  // namespace tandem
