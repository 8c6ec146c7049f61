#include "services/coordinator/workers/worker_report.h"

#include <algorithm>
#include <utility>

#include "services/common/options_conversion.h"

namespace tandem {
namespace {

// In one pass; more than any worker has.
constexpr double kSequencesMax = 1 << 16;
// Streams, requests or tokens of a page; more than any worker has, and few
// enough to be added up.
constexpr int kCountMax = 1 << 20;
constexpr int64_t kPagesMax = int64_t{1} << 40;

int Count(int value) { return std::clamp(value, 0, kCountMax); }
int64_t Pages(int64_t value) {
  return std::clamp(value, int64_t{0}, kPagesMax);
}

WorkerCosts ReadCosts(const v1::ModelLoad& model, bool takes_turns) {
  std::vector<StepCost> costs;
  for (const v1::StepCost& cost : model.step_costs()) {
    const int rows_before = costs.empty() ? 0 : costs.back().rows;
    if (cost.rows() <= rows_before || cost.step_us() < 0) continue;
    costs.push_back(
        {.rows = cost.rows(), .us = static_cast<double>(cost.step_us())});
  }
  // Written so that a NaN is 1 too.
  const double sequences =
      model.sequences_per_step() >= 1
          ? std::min(model.sequences_per_step(), kSequencesMax)
          : 1;
  return {.passes = CostCurve(costs),
          .sequences = sequences,
          .streams = static_cast<double>(std::max(
              0, Count(model.streams_open()) - Count(model.streams_queued()))),
          .takes_turns = takes_turns};
}

WorkerLoad ReadLoad(const v1::ModelLoad& model) {
  return {.streams = Count(model.streams_open()),
          .requests_pending = Count(model.requests_pending()),
          .streams_queued = Count(model.streams_queued()),
          .kv_pages_free = Pages(model.kv_pages_free()),
          .kv_pages_cached = Pages(model.kv_pages_cached()),
          .kv_pages_total = Pages(model.kv_pages_total()),
          .kv_page_tokens = Count(model.kv_page_tokens())};
}

WorkerAnswer FromProto(const v1::DecodedTokens& proto) {
  WorkerAnswer answer{.position = proto.position(),
                      .tokens = {},
                      .compute_us = proto.compute_us(),
                      .served_us = proto.served_us()};
  for (int i = 0; i < proto.token_ids_size(); ++i) {
    const TokenId id = proto.token_ids(i);
    answer.tokens.push_back(
        i < proto.logprobs_size()
            ? SampledTokenFromProto(id, proto.logprobs(i))
            : SampledToken{.id = id, .logprob = 0, .alternatives = {}});
  }
  return answer;
}

// No tokens where the lists do not fit each other.
WorkerScores FromProto(const v1::ScoredTokens& proto) {
  WorkerScores scores{.position = proto.position()};
  if (proto.logprobs_size() != proto.is_greedy_size()) return scores;
  for (int i = 0; i < proto.logprobs_size(); ++i) {
    scores.tokens.push_back(
        {.token = SampledTokenFromProto(/*id=*/0, proto.logprobs(i)),
         .is_greedy = proto.is_greedy(i)});
  }
  return scores;
}

}  // namespace

std::vector<ModelReport> ReadReport(const v1::WatchResponse& report) {
  std::vector<ModelReport> models;
  for (const v1::ModelLoad& model : report.models()) {
    if (models.size() == kWorkerModelsMax) break;
    models.push_back({.model_id = model.model_id(),
                      .load = ReadLoad(model),
                      .costs = std::make_shared<const WorkerCosts>(
                          ReadCosts(model, report.takes_turns()))});
  }
  // A worker's models compute one pass at a time: each waits for a pass of
  // every other one that has streams.
  for (ModelReport& model : models) {
    for (const ModelReport& other : models) {
      const double streams = other.costs->streams;
      if (&other == &model || streams == 0) continue;
      model.load.other_streams += static_cast<int>(streams);
      model.load.other_pass_us += other.costs->passes.At(streams);
    }
  }
  return models;
}

void DeliverResponse(const v1::DecodeResponse& response,
                     WorkerStreamEvents* events) {
  switch (response.response_case()) {
    case v1::DecodeResponse::kOpened:
      return events->OnOpened(
          {.fingerprint = response.opened().fingerprint(),
           .cached_tokens = response.opened().cached_tokens(),
           .queued_us = response.opened().queued_us()});
    case v1::DecodeResponse::kDecoded:
      return events->OnAnswer(FromProto(response.decoded()));
    case v1::DecodeResponse::kScored:
      return events->OnScored(FromProto(response.scored()));
    case v1::DecodeResponse::RESPONSE_NOT_SET:
      return;
  }
}

}  // namespace tandem
