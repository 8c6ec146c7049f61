#include "services/coordinator/server/coordinator_metrics.h"

#include <chrono>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/metric_families.h"
#include "services/common/version.h"

namespace tandem {
namespace {

// Upper ends, in seconds: a factor of about 2 from one to the next.
const prometheus::Histogram::BucketBoundaries kLatencySeconds = {
    0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.5, 5, 10, 20, 40, 80};
const prometheus::Histogram::BucketBoundaries kTurnSeconds = {
    0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 12, 25, 50, 100, 200, 400};
const prometheus::Histogram::BucketBoundaries kTokenSeconds = {
    0.0005, 0.001, 0.002, 0.004, 0.008, 0.015, 0.03,
    0.06,   0.12,  0.25,  0.5,   1,     2,     4};

double Seconds(MonotonicDuration duration) {
  return std::chrono::duration<double>(duration).count();
}

double SecondsOfMicros(int64_t us) { return static_cast<double>(us) * 1e-6; }

const char* StateOf(const WorkerInfo& worker) {
  if (!worker.usable) return "gone";
  return worker.draining ? "draining" : "usable";
}

}  // namespace

CoordinatorMetrics::CoordinatorMetrics()
    : registry_(std::make_shared<prometheus::Registry>()),
      running_(MakeGauges(*registry_, "tandem_num_requests_running",
                          "Turns that run now.")
                   .Add({})),
      sessions_(
          MakeGauges(*registry_, "tandem_sessions", "Sessions that are kept.")
              .Add({})),
      streams_(MakeGauges(*registry_, "tandem_client_streams",
                          "Streams of clients that are open.")
                   .Add({})),
      workers_(MakeGauges(*registry_, "tandem_workers",
                          "Workers by role, and whether they can be used.")),
      prompt_tokens_(MakeCounter(*registry_, "tandem_prompt_tokens_total",
                                 "Tokens of prompts of turns that ended.")),
      generation_tokens_(MakeCounter(
          *registry_, "tandem_generation_tokens_total", "Tokens generated.")),
      prefix_queries_(
          MakeCounter(*registry_, "tandem_prefix_cache_queries_total",
                      "Tokens of prompts that were looked for in a target's "
                      "prefix cache.")),
      prefix_hits_(MakeCounter(*registry_, "tandem_prefix_cache_hits_total",
                               "Of those, tokens that were there.")),
      finished_(MakeCounters(*registry_, "tandem_request_success_total",
                             "Turns that ended, by what ended them.")),
      failed_(
          MakeCounters(*registry_, "tandem_request_failure_total",
                       "Streams of clients that ended with an error, by its "
                       "reason.")),
      queue_time_(MakeHistogram(
          *registry_, "tandem_request_queue_time_seconds",
          "Waiting for KV at target workers, of turns that had a token.",
          kLatencySeconds)),
      first_token_(MakeHistogram(
          *registry_, "tandem_time_to_first_token_seconds",
          "From a turn's start to its first token.", kLatencySeconds)),
      inter_token_(MakeHistogram(
          *registry_, "tandem_inter_token_latency_seconds",
          "Time between tokens; tokens of one round share its time evenly.",
          kTokenSeconds)),
      latency_(MakeHistogram(*registry_, "tandem_e2e_request_latency_seconds",
                             "From a turn's start to its end.", kTurnSeconds)),
      rounds_(MakeCounter(*registry_, "tandem_rounds_total",
                          "Verifications by target workers.")),
      drafts_(MakeCounter(*registry_, "tandem_spec_decode_num_drafts_total",
                          "Rounds that verified a draft.")),
      late_drafts_(MakeCounter(
          *registry_, "tandem_spec_decode_num_late_drafts_total",
          "Rounds that went on without a draft that came too late.")),
      ahead_asked_(MakeCounter(*registry_,
                               "tandem_spec_decode_num_ahead_asked_total",
                               "Drafts asked for ahead of their round.")),
      ahead_used_(MakeCounter(*registry_,
                              "tandem_spec_decode_num_ahead_used_total",
                              "Of those, drafts that a round began with.")) {
  AddFamilies();
  MakeGauges(*registry_, "tandem_build_info",
             "The version that runs; always 1.")
      .Add({{"version", kTandemVersion}})
      .Set(1);
}

// Those whose series differ in a label.
void CoordinatorMetrics::AddFamilies() {
  prometheus::Registry& registry = *registry_;
  Counters& drafted =
      MakeCounters(registry, "tandem_spec_decode_num_draft_tokens_total",
                   "Draft tokens that were verified, by who drafted them.");
  Counters& accepted =
      MakeCounters(registry, "tandem_spec_decode_num_accepted_tokens_total",
                   "Draft tokens that were accepted.");
  Counters& wasted =
      MakeCounters(registry, "tandem_spec_decode_num_wasted_tokens_total",
                   "Draft tokens that were verified in vain.");
  for (auto& [source, drafts] : std::map<std::string, Drafts*>{
           {"model", &model_drafts_}, {"lookup", &lookup_drafts_}}) {
    drafts->drafted = &drafted.Add({{"source", source}});
    drafts->accepted = &accepted.Add({{"source", source}});
    drafts->wasted = &wasted.Add({{"source", source}});
  }
  Counters& drafted_at = MakeCounters(
      registry, "tandem_spec_decode_num_draft_tokens_per_pos_total",
      "Draft tokens that were verified, by position in the draft.");
  Counters& accepted_at = MakeCounters(
      registry, "tandem_spec_decode_num_accepted_tokens_per_pos_total",
      "Draft tokens that were accepted, by position in the draft.");
  for (size_t i = 0; i < kDraftLengthLimit; ++i) {
    const prometheus::Labels position = {{"position", absl::StrCat(i)}};
    drafted_at_[i] = &drafted_at.Add(position);
    accepted_at_[i] = &accepted_at.Add(position);
  }
  Counters& seconds = MakeCounters(
      registry, "tandem_round_seconds_total",
      "Time of rounds: draft and verify is computing at workers, rpc the rest "
      "of the round trips; wait is the part of rpc spent waiting.");
  draft_seconds_ = &seconds.Add({{"part", "draft"}});
  verify_seconds_ = &seconds.Add({{"part", "verify"}});
  rpc_seconds_ = &seconds.Add({{"part", "rpc"}});
  wait_seconds_ = &seconds.Add({{"part", "wait"}});
}

void CoordinatorMetrics::SetLevels(const CoordinatorLevels& levels) {
  running_.Set(static_cast<double>(levels.turns));
  sessions_.Set(static_cast<double>(levels.sessions));
  streams_.Set(static_cast<double>(levels.streams));
  for (const auto& [role, name] : {std::pair(WorkerRole::kTarget, "target"),
                                   std::pair(WorkerRole::kDraft, "draft")}) {
    std::map<std::string, int> counts = {
        {"usable", 0}, {"draining", 0}, {"gone", 0}};
    for (const WorkerInfo& worker : levels.workers) {
      if (worker.role == role) ++counts[StateOf(worker)];
    }
    for (const auto& [state, count] : counts) {
      workers_.Add({{"role", name}, {"state", state}}).Set(count);
    }
  }
}

void CoordinatorMetrics::OnFirstTokens(int64_t tokens,
                                       MonotonicDuration since_start) {
  generation_tokens_.Increment(static_cast<double>(tokens));
  first_token_.Observe(Seconds(since_start));
}

void CoordinatorMetrics::OnTokens(int64_t tokens,
                                  std::optional<MonotonicDuration> since_last) {
  generation_tokens_.Increment(static_cast<double>(tokens));
  if (!since_last.has_value()) return;
  const double each_s = Seconds(*since_last) / static_cast<double>(tokens);
  for (int64_t i = 0; i < tokens; ++i) inter_token_.Observe(each_s);
}

void CoordinatorMetrics::OnTurnOver(const TurnSummary& summary) {
  prompt_tokens_.Increment(static_cast<double>(summary.usage.prompt_tokens));
  prefix_queries_.Increment(static_cast<double>(summary.usage.prompt_tokens));
  prefix_hits_.Increment(
      static_cast<double>(summary.usage.cached_prompt_tokens));
  CountSpeculation(summary.speculation);
  CountTimes(summary.times);
  if (summary.usage.generated_tokens > 0) {
    queue_time_.Observe(SecondsOfMicros(summary.times.queue_us));
  }
  if (summary.finish_reason == FinishReason::kError) return;
  latency_.Observe(SecondsOfMicros(summary.times.total_us));
  finished_
      .Add({{"finished_reason",
             std::string(FinishReasonName(summary.finish_reason))}})
      .Increment();
}

void CoordinatorMetrics::OnStreamFailed(const std::string& reason) {
  failed_.Add({{"reason", reason}}).Increment();
}

void CoordinatorMetrics::CountDrafts(const DraftCounts& counts,
                                     const Drafts& drafts) {
  drafts.drafted->Increment(static_cast<double>(counts.drafted));
  drafts.accepted->Increment(static_cast<double>(counts.accepted));
  drafts.wasted->Increment(
      static_cast<double>(counts.drafted - counts.accepted));
}

void CoordinatorMetrics::CountSpeculation(const SpeculationCounts& counts) {
  rounds_.Increment(static_cast<double>(counts.rounds));
  drafts_.Increment(static_cast<double>(counts.positions[0].drafted));
  late_drafts_.Increment(static_cast<double>(counts.late));
  ahead_asked_.Increment(static_cast<double>(counts.ahead_asked));
  ahead_used_.Increment(static_cast<double>(counts.ahead_used));
  CountDrafts(counts.lookup, lookup_drafts_);
  CountDrafts({.drafted = counts.drafted - counts.lookup.drafted,
               .accepted = counts.accepted - counts.lookup.accepted},
              model_drafts_);
  for (size_t i = 0; i < counts.positions.size(); ++i) {
    drafted_at_[i]->Increment(static_cast<double>(counts.positions[i].drafted));
    accepted_at_[i]->Increment(
        static_cast<double>(counts.positions[i].accepted));
  }
}

void CoordinatorMetrics::CountTimes(const TurnTimes& times) {
  draft_seconds_->Increment(SecondsOfMicros(times.draft_us));
  verify_seconds_->Increment(SecondsOfMicros(times.verify_us));
  rpc_seconds_->Increment(SecondsOfMicros(times.rpc_us));
  wait_seconds_->Increment(SecondsOfMicros(times.wait_us));
}

}  // namespace tandem
