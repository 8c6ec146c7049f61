// What a server counts of its callers: names stand in services/README.md. Owned
// by the server; any thread.

#ifndef TANDEM_SERVICES_ACCESS_ACCESS_METRICS_H_
#define TANDEM_SERVICES_ACCESS_ACCESS_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

namespace tandem {

class AccessMetrics {
 public:
  // `registry` outlives this.
  explicit AccessMetrics(prometheus::Registry& registry);

  // A call was denied for one of the reasons of error_reason.h.
  void OnDenied(const char* reason) const;
  // The key file can not be used, and the keys of before stay.
  void SetKeyFileRefused(bool refused) const;

 private:
  prometheus::Family<prometheus::Counter>& denied_;
  prometheus::Gauge& key_file_refused_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_ACCESS_ACCESS_METRICS_H_
