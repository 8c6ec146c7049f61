// Metrics of one series, and families of several, in a registry. Names and help
// texts as Prometheus has them.

#ifndef TANDEM_SERVICES_COMMON_METRIC_FAMILIES_H_
#define TANDEM_SERVICES_COMMON_METRIC_FAMILIES_H_

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

namespace tandem {

inline prometheus::Family<prometheus::Counter>& MakeCounters(
    prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

inline prometheus::Counter& MakeCounter(prometheus::Registry& registry,
                                        const char* name, const char* help) {
  return MakeCounters(registry, name, help).Add({});
}

inline prometheus::Family<prometheus::Gauge>& MakeGauges(
    prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
}

inline prometheus::Gauge& MakeGauge(prometheus::Registry& registry,
                                    const char* name, const char* help) {
  return MakeGauges(registry, name, help).Add({});
}

inline prometheus::Histogram& MakeHistogram(
    prometheus::Registry& registry, const char* name, const char* help,
    const prometheus::Histogram::BucketBoundaries& buckets) {
  return prometheus::BuildHistogram()
      .Name(name)
      .Help(help)
      .Register(registry)
      .Add({}, buckets);
}

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_METRIC_FAMILIES_H_
