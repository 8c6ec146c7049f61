// The coordinator's metrics: names and units stand in services/README.md.
// Owned by the server; any thread.

#ifndef TANDEM_SERVICES_COORDINATOR_SERVER_COORDINATOR_METRICS_H_
#define TANDEM_SERVICES_COORDINATOR_SERVER_COORDINATOR_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/types/span.h"
#include "services/common/listen/connection_acceptor.h"
#include "services/coordinator/client/memory_budget.h"
#include "services/coordinator/turn/turn_observer.h"
#include "services/coordinator/workers/worker_table.h"

namespace tandem {

// What is asked for at each scrape.
struct CoordinatorLevels {
  int64_t turns = 0;                     // running
  int64_t sessions = 0;                  // kept
  int64_t streams = 0;                   // of clients
  absl::Span<const WorkerInfo> workers;  // by model
  const MemoryBudget* memory = nullptr;  // never null
};

// Since the start: tokens, and draft tokens of rounds, as they come.
struct CoordinatorTotals {
  int64_t generated_tokens = 0;
  int64_t drafted_tokens = 0;
  int64_t accepted_tokens = 0;
};

class CoordinatorMetrics : public TurnObserver {
 public:
  CoordinatorMetrics();

  const std::shared_ptr<prometheus::Registry>& registry() const {
    return registry_;
  }
  // For the acceptors of the process's ports.
  ConnectionCounters* refused_connections() const { return refused_; }
  void SetLevels(const CoordinatorLevels& levels);
  CoordinatorTotals totals() const;

  void OnFirstTokens(int64_t tokens, MonotonicDuration since_start) override;
  void OnTokens(int64_t tokens,
                std::optional<MonotonicDuration> since_last) override;
  void OnRound(const VerifiedDraft& draft) override;
  void OnTurnOver(const TurnSummary& summary) override;
  void OnScored(int64_t tokens) override;
  void OnStreamFailed(const std::string& reason) override;
  void OnPromptQuarantined() { usage_.quarantined.Increment(); }

 private:
  // Set at each scrape.
  struct Levels {
    explicit Levels(prometheus::Registry& registry);

    prometheus::Gauge& running;
    prometheus::Gauge& sessions;
    prometheus::Gauge& streams;
    prometheus::Family<prometheus::Gauge>& workers;
    prometheus::Family<prometheus::Gauge>& memory;
  };
  // Turns and their tokens.
  struct Usage {
    explicit Usage(prometheus::Registry& registry);

    prometheus::Counter& prompt_tokens;
    prometheus::Counter& generation_tokens;
    prometheus::Counter& scored_tokens;
    prometheus::Counter& prefix_queries;
    prometheus::Counter& prefix_hits;
    prometheus::Family<prometheus::Counter>& finished;
    prometheus::Family<prometheus::Counter>& failed;
    prometheus::Counter& quarantined;
  };
  // What clients wait for.
  struct Latencies {
    explicit Latencies(prometheus::Registry& registry);

    prometheus::Histogram& queue;
    prometheus::Histogram& first_token;
    prometheus::Histogram& inter_token;
    prometheus::Histogram& turn;
  };
  // Rounds and their drafts.
  struct Rounds {
    explicit Rounds(prometheus::Registry& registry);
    void Count(const SpeculationCounts& counts);
    void Count(const TurnTimes& times);

    prometheus::Counter& rounds;
    prometheus::Counter& drafts;
    prometheus::Counter& late_drafts;
    prometheus::Counter& ahead_asked;
    prometheus::Counter& ahead_used;
    // By source.
    prometheus::Family<prometheus::Counter>& drafted;
    prometheus::Family<prometheus::Counter>& accepted;
    prometheus::Family<prometheus::Counter>& wasted;
    // By position in the draft.
    prometheus::Family<prometheus::Counter>& drafted_at;
    prometheus::Family<prometheus::Counter>& accepted_at;
    // By part of the round.
    prometheus::Family<prometheus::Counter>& seconds;
  };

  const std::shared_ptr<prometheus::Registry> registry_;
  ConnectionCounters* const refused_;
  Levels levels_;
  Usage usage_;
  Latencies latencies_;
  Rounds rounds_;
  // The counters of drafts above count turns that are over.
  std::atomic<int64_t> drafted_now_{0};
  std::atomic<int64_t> accepted_now_{0};
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_SERVER_COORDINATOR_METRICS_H_
