// The metrics of a process's certificates; names stand in services/README.md.
// Owned by the server; one thread at a time.

#ifndef TANDEM_SERVICES_IDENTITY_CERTIFICATE_METRICS_H_
#define TANDEM_SERVICES_IDENTITY_CERTIFICATE_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include "absl/types/span.h"
#include "services/identity/certificate_store.h"

namespace tandem {

class CertificateMetrics {
 public:
  // `registry` outlives this.
  explicit CertificateMetrics(prometheus::Registry& registry);

  // Before each scrape. A process without TLS has no series.
  void SetStates(absl::Span<const CertificateState> states);

 private:
  prometheus::Family<prometheus::Gauge>& expiry_;
  prometheus::Family<prometheus::Counter>& failures_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_IDENTITY_CERTIFICATE_METRICS_H_
