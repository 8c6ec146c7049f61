// The coordinator's metrics: names and units stand in services/README.md.
// Owned by the server; any thread.

#ifndef TANDEM_SERVICES_COORDINATOR_SERVER_COORDINATOR_METRICS_H_
#define TANDEM_SERVICES_COORDINATOR_SERVER_COORDINATOR_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/types/span.h"
#include "services/coordinator/turn/turn_observer.h"
#include "services/coordinator/workers/worker_table.h"

namespace tandem {

// What is asked for at each scrape.
struct CoordinatorLevels {
  int64_t turns = 0;                     // running
  int64_t sessions = 0;                  // kept
  int64_t streams = 0;                   // of clients
  absl::Span<const WorkerInfo> workers;  // by model
};

class CoordinatorMetrics : public TurnObserver {
 public:
  CoordinatorMetrics();

  const std::shared_ptr<prometheus::Registry>& registry() const {
    return registry_;
  }
  void SetLevels(const CoordinatorLevels& levels);

  void OnFirstTokens(int64_t tokens, MonotonicDuration since_start) override;
  void OnTokens(int64_t tokens,
                std::optional<MonotonicDuration> since_last) override;
  void OnTurnOver(const TurnSummary& summary) override;
  void OnStreamFailed(const std::string& reason) override;

 private:
  using Counters = prometheus::Family<prometheus::Counter>;
  using Gauges = prometheus::Family<prometheus::Gauge>;
  // Of one source of drafts.
  struct Drafts {
    prometheus::Counter* drafted = nullptr;
    prometheus::Counter* accepted = nullptr;
    prometheus::Counter* wasted = nullptr;
  };

  void AddFamilies();
  void CountDrafts(const DraftCounts& counts, const Drafts& drafts);
  void CountSpeculation(const SpeculationCounts& counts);
  void CountTimes(const TurnTimes& times);

  const std::shared_ptr<prometheus::Registry> registry_;
  prometheus::Gauge& running_;
  prometheus::Gauge& sessions_;
  prometheus::Gauge& streams_;
  Gauges& workers_;
  prometheus::Counter& prompt_tokens_;
  prometheus::Counter& generation_tokens_;
  prometheus::Counter& prefix_queries_;
  prometheus::Counter& prefix_hits_;
  Counters& finished_;
  Counters& failed_;
  prometheus::Histogram& queue_time_;
  prometheus::Histogram& first_token_;
  prometheus::Histogram& inter_token_;
  prometheus::Histogram& latency_;
  prometheus::Counter& rounds_;
  prometheus::Counter& drafts_;
  prometheus::Counter& late_drafts_;
  prometheus::Counter& ahead_asked_;
  prometheus::Counter& ahead_used_;
  Drafts model_drafts_;
  Drafts lookup_drafts_;
  // By position in the draft.
  std::array<prometheus::Counter*, kDraftLengthLimit> drafted_at_{};
  std::array<prometheus::Counter*, kDraftLengthLimit> accepted_at_{};
  prometheus::Counter* draft_seconds_ = nullptr;
  prometheus::Counter* verify_seconds_ = nullptr;
  prometheus::Counter* rpc_seconds_ = nullptr;
  prometheus::Counter* wait_seconds_ = nullptr;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_SERVER_COORDINATOR_METRICS_H_
