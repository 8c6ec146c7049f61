#include "services/access/access_metrics.h"

#include "engine/base/error_reason.h"
#include "services/common/metric_families.h"

namespace tandem {

AccessMetrics::AccessMetrics(prometheus::Registry& registry)
    : denied_(MakeCounters(registry, "tandem_denied_calls_total",
                           "Calls that were denied for want of a valid key or "
                           "scope, by reason.")),
      key_file_refused_(
          MakeGauge(registry, "tandem_key_file_refused",
                    "1 while the key file can not be used and the keys of "
                    "before stay in use, else 0.")) {
  // All series are there from the start.
  for (const char* reason : {kReasonInvalidKey, kReasonMissingScope}) {
    denied_.Add({{"reason", reason}});
  }
}

void AccessMetrics::OnDenied(const char* reason) const {
  denied_.Add({{"reason", reason}}).Increment();
}

void AccessMetrics::SetKeyFileRefused(bool refused) const {
  key_file_refused_.Set(refused ? 1 : 0);
}

}  // namespace tandem
