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

void Add(prometheus::Counter& counter, int64_t count) {
  counter.Increment(static_cast<double>(count));
}

}  // namespace

CoordinatorMetrics::Levels::Levels(prometheus::Registry& registry)
    : running(MakeGauge(registry, "tandem_num_requests_running",
                        "Turns that run now.")),
      sessions(
          MakeGauge(registry, "tandem_sessions", "Sessions that are kept.")),
      streams(MakeGauge(registry, "tandem_client_streams",
                        "Streams of clients that are open.")),
      workers(MakeGauges(registry, "tandem_workers",
                         "Workers by role, and whether they can be used.")),
      memory(MakeGauges(registry, "tandem_memory_bytes",
                        "Memory kept for clients, by kind; limit is the "
                        "bound of all.")) {}

CoordinatorMetrics::Usage::Usage(prometheus::Registry& registry)
    : prompt_tokens(MakeCounter(registry, "tandem_prompt_tokens_total",
                                "Tokens of prompts of turns that ended.")),
      generation_tokens(MakeCounter(registry, "tandem_generation_tokens_total",
                                    "Tokens generated.")),
      scored_tokens(MakeCounter(registry, "tandem_scored_tokens_total",
                                "Tokens of continuations that were scored.")),
      prefix_queries(
          MakeCounter(registry, "tandem_prefix_cache_queries_total",
                      "Tokens of prompts that were looked for in a target's "
                      "prefix cache.")),
      prefix_hits(MakeCounter(registry, "tandem_prefix_cache_hits_total",
                              "Of those, tokens that were there.")),
      finished(MakeCounters(registry, "tandem_request_success_total",
                            "Turns that ended, by what ended them.")),
      failed(MakeCounters(registry, "tandem_request_failure_total",
                          "Streams of clients that ended with an error, by its "
                          "reason.")),
      quarantined(MakeCounter(registry, "tandem_quarantined_prompts_total",
                              "Prompts that ended workers and are refused "
                              "since.")) {}

CoordinatorMetrics::Latencies::Latencies(prometheus::Registry& registry)
    : queue(MakeHistogram(
          registry, "tandem_request_queue_time_seconds",
          "Waiting for KV at target workers, of turns that had a token.",
          kLatencySeconds)),
      first_token(MakeHistogram(registry, "tandem_time_to_first_token_seconds",
                                "From a turn's start to its first token.",
                                kLatencySeconds)),
      inter_token(MakeHistogram(
          registry, "tandem_inter_token_latency_seconds",
          "Time between tokens; tokens of one round share its time evenly.",
          kTokenSeconds)),
      turn(MakeHistogram(registry, "tandem_e2e_request_latency_seconds",
                         "From a turn's start to its end.", kTurnSeconds)) {}

CoordinatorMetrics::Rounds::Rounds(prometheus::Registry& registry)
    : rounds(MakeCounter(registry, "tandem_rounds_total",
                         "Verifications by target workers.")),
      drafts(MakeCounter(registry, "tandem_spec_decode_num_drafts_total",
                         "Rounds that verified a draft.")),
      late_drafts(MakeCounter(
          registry, "tandem_spec_decode_num_late_drafts_total",
          "Rounds that went on without a draft that came too late.")),
      ahead_asked(MakeCounter(registry,
                              "tandem_spec_decode_num_ahead_asked_total",
                              "Drafts asked for ahead of their round.")),
      ahead_used(MakeCounter(registry,
                             "tandem_spec_decode_num_ahead_used_total",
                             "Of those, drafts that a round began with.")),
      drafted(MakeCounters(
          registry, "tandem_spec_decode_num_draft_tokens_total",
          "Draft tokens that were verified, by who drafted them.")),
      accepted(MakeCounters(registry,
                            "tandem_spec_decode_num_accepted_tokens_total",
                            "Draft tokens that were accepted.")),
      wasted(MakeCounters(registry,
                          "tandem_spec_decode_num_wasted_tokens_total",
                          "Draft tokens that were verified in vain.")),
      drafted_at(MakeCounters(
          registry, "tandem_spec_decode_num_draft_tokens_per_pos_total",
          "Draft tokens that were verified, by position in the draft.")),
      accepted_at(MakeCounters(
          registry, "tandem_spec_decode_num_accepted_tokens_per_pos_total",
          "Draft tokens that were accepted, by position in the draft.")),
      seconds(MakeCounters(
          registry, "tandem_round_seconds_total",
          "Time of rounds: draft and verify is computing at workers, rpc the "
          "rest of the round trips; wait is the part of rpc spent waiting.")) {
  // All series are there from the start.
  Count(SpeculationCounts());
  Count(TurnTimes());
}

void CoordinatorMetrics::Rounds::Count(const SpeculationCounts& counts) {
  Add(rounds, counts.rounds);
  Add(drafts, counts.positions[0].drafted);
  Add(late_drafts, counts.late);
  Add(ahead_asked, counts.ahead_asked);
  Add(ahead_used, counts.ahead_used);
  const DraftCounts model = {
      .drafted = counts.drafted - counts.lookup.drafted,
      .accepted = counts.accepted - counts.lookup.accepted};
  for (const auto& [source, of] :
       {std::pair("lookup", counts.lookup), std::pair("model", model)}) {
    const prometheus::Labels labels = {{"source", source}};
    Add(drafted.Add(labels), of.drafted);
    Add(accepted.Add(labels), of.accepted);
    Add(wasted.Add(labels), of.drafted - of.accepted);
  }
  for (size_t i = 0; i < counts.positions.size(); ++i) {
    const prometheus::Labels labels = {{"position", absl::StrCat(i)}};
    Add(drafted_at.Add(labels), counts.positions[i].drafted);
    Add(accepted_at.Add(labels), counts.positions[i].accepted);
  }
}

void CoordinatorMetrics::Rounds::Count(const TurnTimes& times) {
  for (const auto& [part, us] :
       {std::pair("draft", times.draft_us),
        std::pair("verify", times.verify_us), std::pair("rpc", times.rpc_us),
        std::pair("wait", times.wait_us)}) {
    seconds.Add({{"part", part}}).Increment(SecondsOfMicros(us));
  }
}

CoordinatorMetrics::CoordinatorMetrics()
    : registry_(std::make_shared<prometheus::Registry>()),
      refused_(MakeRefusedConnections(registry_.get())),
      levels_(*registry_),
      usage_(*registry_),
      latencies_(*registry_),
      rounds_(*registry_) {
  MakeGauges(*registry_, "tandem_build_info",
             "The version that runs; always 1.")
      .Add({{"version", kTandemVersion}})
      .Set(1);
}

void CoordinatorMetrics::SetLevels(const CoordinatorLevels& levels) {
  levels_.running.Set(static_cast<double>(levels.turns));
  levels_.sessions.Set(static_cast<double>(levels.sessions));
  levels_.streams.Set(static_cast<double>(levels.streams));
  const auto set_memory = [this](const char* kind, int64_t bytes) {
    levels_.memory.Add({{"kind", kind}}).Set(static_cast<double>(bytes));
  };
  for (size_t i = 0; i < kMemoryKinds; ++i) {
    const auto kind = static_cast<MemoryKind>(i);
    set_memory(MemoryKindName(kind), levels.memory->bytes(kind));
  }
  set_memory("limit", levels.memory->bytes_max());
  for (const auto& [role, name] : {std::pair(WorkerRole::kTarget, "target"),
                                   std::pair(WorkerRole::kDraft, "draft")}) {
    std::map<std::string, int> counts = {
        {"usable", 0}, {"draining", 0}, {"gone", 0}};
    for (const WorkerInfo& worker : levels.workers) {
      if (worker.role == role) ++counts[StateOf(worker)];
    }
    for (const auto& [state, count] : counts) {
      levels_.workers.Add({{"role", name}, {"state", state}}).Set(count);
    }
  }
}

void CoordinatorMetrics::OnFirstTokens(int64_t tokens,
                                       MonotonicDuration since_start) {
  Add(usage_.generation_tokens, tokens);
  latencies_.first_token.Observe(Seconds(since_start));
}

void CoordinatorMetrics::OnTokens(int64_t tokens,
                                  std::optional<MonotonicDuration> since_last) {
  Add(usage_.generation_tokens, tokens);
  if (!since_last.has_value()) return;
  const double each_s = Seconds(*since_last) / static_cast<double>(tokens);
  for (int64_t i = 0; i < tokens; ++i) latencies_.inter_token.Observe(each_s);
}

void CoordinatorMetrics::OnRound(const VerifiedDraft& draft) {
  drafted_now_.fetch_add(draft.drafted, std::memory_order_relaxed);
  accepted_now_.fetch_add(draft.accepted, std::memory_order_relaxed);
}

CoordinatorTotals CoordinatorMetrics::totals() const {
  return {.generated_tokens =
              static_cast<int64_t>(usage_.generation_tokens.Value()),
          .drafted_tokens = drafted_now_.load(std::memory_order_relaxed),
          .accepted_tokens = accepted_now_.load(std::memory_order_relaxed)};
}

void CoordinatorMetrics::OnTurnOver(const TurnSummary& summary) {
  Add(usage_.prompt_tokens, summary.usage.prompt_tokens);
  Add(usage_.prefix_queries, summary.usage.prompt_tokens);
  Add(usage_.prefix_hits, summary.usage.cached_prompt_tokens);
  rounds_.Count(summary.speculation);
  rounds_.Count(summary.times);
  if (summary.usage.generated_tokens > 0) {
    latencies_.queue.Observe(SecondsOfMicros(summary.times.queue_us));
  }
  if (summary.finish_reason == FinishReason::kError) return;
  latencies_.turn.Observe(SecondsOfMicros(summary.times.total_us));
  usage_.finished
      .Add({{"finished_reason",
             std::string(FinishReasonName(summary.finish_reason))}})
      .Increment();
}

void CoordinatorMetrics::OnScored(int64_t tokens) {
  Add(usage_.scored_tokens, tokens);
}

void CoordinatorMetrics::OnStreamFailed(const std::string& reason) {
  usage_.failed.Add({{"reason", reason}}).Increment();
}

}  // namespace tandem
