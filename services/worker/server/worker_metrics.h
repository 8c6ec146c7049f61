// The worker's metrics: names and units stand in services/README.md. Owned by
// the server; any thread.

#ifndef TANDEM_SERVICES_WORKER_SERVER_WORKER_METRICS_H_
#define TANDEM_SERVICES_WORKER_SERVER_WORKER_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <memory>
#include <string>

#include "services/common/listen/connection_acceptor.h"
#include "services/worker/schedule/compute_loop.h"
#include "tandem/v1/worker.pb.h"

namespace tandem {

// What is asked for at each scrape.
struct WorkerLevels {
  v1::WatchResponse load;
  bool ready = false;
  bool stalled = false;
};

class WorkerMetrics {
 public:
  explicit WorkerMetrics(v1::WorkerRole role);

  const std::shared_ptr<prometheus::Registry>& registry() const {
    return registry_;
  }
  // For the acceptors of the process's ports.
  ConnectionCounters* refused_connections() const { return refused_; }
  void SetLevels(const WorkerLevels& levels);
  // A pass of an engine is over.
  void OnStep(const StepReport& step);

 private:
  using Gauges = prometheus::Family<prometheus::Gauge>;

  const std::shared_ptr<prometheus::Registry> registry_;
  ConnectionCounters* const refused_;
  prometheus::Gauge& running_;
  prometheus::Gauge& waiting_;
  prometheus::Gauge& pending_;
  prometheus::Gauge& kv_usage_;
  Gauges& kv_pages_;
  prometheus::Gauge& ready_;
  prometheus::Gauge& stalled_;
  prometheus::Histogram& step_seconds_;
  prometheus::Histogram& step_rows_;
  prometheus::Family<prometheus::Counter>& rows_;
  prometheus::Counter& decode_rows_;
  prometheus::Counter& prompt_rows_;
  prometheus::Counter& step_failures_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SERVER_WORKER_METRICS_H_
