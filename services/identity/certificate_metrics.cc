#include "services/identity/certificate_metrics.h"

#include "services/common/metric_families.h"

namespace tandem {

CertificateMetrics::CertificateMetrics(prometheus::Registry& registry)
    : expiry_(MakeGauges(registry,
                         "tandem_certificate_expiry_timestamp_seconds",
                         "When the certificate that is shown stops being "
                         "valid, in seconds since 1970.")),
      failures_(MakeCounters(
          registry, "tandem_certificate_reload_failures_total",
          "How often certificate files were found that can not be used; those "
          "before stay in use.")) {}

void CertificateMetrics::SetStates(absl::Span<const CertificateState> states) {
  for (const CertificateState& state : states) {
    const prometheus::Labels use = {{"use", CertificateUseName(state.use)}};
    if (state.expiry < absl::InfiniteFuture()) {
      expiry_.Add(use).Set(
          absl::ToDoubleSeconds(state.expiry - absl::UnixEpoch()));
    }
    prometheus::Counter& failures = failures_.Add(use);
    failures.Increment(static_cast<double>(state.reload_failures) -
                       failures.Value());
  }
}

}  // namespace tandem
