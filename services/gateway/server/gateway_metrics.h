// The figures of a gateway, in one registry. Owned by the GatewayServer; any
// thread.

#ifndef TANDEM_SERVICES_GATEWAY_SERVER_GATEWAY_METRICS_H_
#define TANDEM_SERVICES_GATEWAY_SERVER_GATEWAY_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/registry.h>

#include <memory>
#include <string>

#include "services/common/listen/connection_acceptor.h"

namespace tandem::gateway {

class GatewayMetrics {
 public:
  GatewayMetrics();

  GatewayMetrics(const GatewayMetrics&) = delete;
  GatewayMetrics& operator=(const GatewayMetrics&) = delete;

  // A request was answered, or its stream begun. `route` is one of a few names.
  void CountRequest(const std::string& route, int status);

  const std::shared_ptr<prometheus::Registry>& registry() const {
    return registry_;
  }
  ConnectionCounters* refused() { return refused_; }
  prometheus::Gauge& streams() { return streams_; }
  prometheus::Gauge& left() { return left_; }
  prometheus::Counter& resumed() { return resumed_; }
  prometheus::Counter& given_up() { return given_up_; }

 private:
  const std::shared_ptr<prometheus::Registry> registry_;
  ConnectionCounters* const refused_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Gauge& streams_;
  prometheus::Gauge& left_;
  prometheus::Counter& resumed_;
  prometheus::Counter& given_up_;
};

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_SERVER_GATEWAY_METRICS_H_
