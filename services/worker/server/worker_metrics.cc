#include "services/worker/server/worker_metrics.h"

#include "services/common/metric_families.h"
#include "services/common/version.h"

namespace tandem {
namespace {

// Upper ends: a factor of about 2 from one to the next.
const prometheus::Histogram::BucketBoundaries kStepSeconds = {
    0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03,
    0.06,   0.12,  0.25,  0.5,   1,     2,     4};
const prometheus::Histogram::BucketBoundaries kStepRows = {
    1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};

}  // namespace

WorkerMetrics::WorkerMetrics(v1::WorkerRole role)
    : registry_(std::make_shared<prometheus::Registry>()),
      refused_(MakeRefusedConnections(registry_.get())),
      running_(MakeGauge(*registry_, "tandem_num_requests_running",
                         "Sequences that hold KV.")),
      waiting_(MakeGauge(*registry_, "tandem_num_requests_waiting",
                         "Sequences that wait for KV.")),
      pending_(MakeGauge(*registry_, "tandem_requests_pending",
                         "Requests that wait or compute.")),
      kv_usage_(MakeGauge(*registry_, "tandem_kv_cache_usage_perc",
                          "Part of the KV pages that sequences have reserved, "
                          "0 to 1.")),
      kv_pages_(MakeGauges(*registry_, "tandem_kv_pages",
                           "KV pages: reserved by sequences, cached for those "
                           "to come, or empty.")),
      ready_(MakeGauge(*registry_, "tandem_ready",
                       "1 while new sequences are taken.")),
      stalled_(MakeGauge(*registry_, "tandem_engine_stalled",
                         "1 while the compute thread does not move.")),
      step_seconds_(MakeHistogram(*registry_, "tandem_step_seconds",
                                  "Time of a pass.", kStepSeconds)),
      step_rows_(MakeHistogram(*registry_, "tandem_step_rows",
                               "Rows of a pass.", kStepRows)),
      rows_(MakeCounters(*registry_, "tandem_rows_total",
                         "Rows that passes computed: decode rows draft or "
                         "verify, prompt rows fill the KV cache.")),
      decode_rows_(rows_.Add({{"kind", "decode"}})),
      prompt_rows_(rows_.Add({{"kind", "prompt"}})),
      step_failures_(MakeCounter(*registry_, "tandem_step_failures_total",
                                 "Passes that failed.")) {
  MakeGauges(*registry_, "tandem_build_info",
             "The version that runs, and the worker's role; always 1.")
      .Add({{"version", kTandemVersion},
            {"role", role == v1::WORKER_ROLE_DRAFT ? "draft" : "target"}})
      .Set(1);
}

void WorkerMetrics::SetLevels(const WorkerLevels& levels) {
  int streams = 0;
  int queued = 0;
  int pending = 0;
  double total = 0;
  double free = 0;
  double cached = 0;
  for (const v1::ModelLoad& load : levels.load.models()) {
    streams += load.streams_open();
    queued += load.streams_queued();
    pending += load.requests_pending();
    total += static_cast<double>(load.kv_pages_total());
    free += static_cast<double>(load.kv_pages_free());
    cached += static_cast<double>(load.kv_pages_cached());
  }
  running_.Set(streams - queued);
  waiting_.Set(queued);
  pending_.Set(pending);
  kv_usage_.Set(total > 0 ? 1 - free / total : 0);
  kv_pages_.Add({{"state", "reserved"}}).Set(total - free);
  kv_pages_.Add({{"state", "cached"}}).Set(cached);
  kv_pages_.Add({{"state", "empty"}}).Set(free - cached);
  ready_.Set(levels.ready ? 1 : 0);
  stalled_.Set(levels.stalled ? 1 : 0);
}

void WorkerMetrics::OnStep(const StepReport& step) {
  if (!step.ok) return step_failures_.Increment();
  step_seconds_.Observe(step.step_us * 1e-6);
  step_rows_.Observe(step.decode_rows + step.prompt_rows);
  decode_rows_.Increment(step.decode_rows);
  prompt_rows_.Increment(step.prompt_rows);
}

}  // namespace tandem
