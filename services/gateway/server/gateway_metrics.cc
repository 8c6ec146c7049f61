#include "services/gateway/server/gateway_metrics.h"

#include "absl/strings/str_cat.h"
#include "services/common/metric_families.h"
#include "services/common/version.h"

namespace tandem::gateway {

GatewayMetrics::GatewayMetrics()
    : registry_(std::make_shared<prometheus::Registry>()),
      refused_(MakeRefusedConnections(registry_.get())),
      requests_(MakeCounters(*registry_, "tandem_http_requests_total",
                             "Requests by what they asked for and the status "
                             "of their answer.")),
      streams_(MakeGauge(*registry_, "tandem_http_streams",
                         "Streams of events that are being sent.")),
      left_(MakeGauge(*registry_, "tandem_http_streams_left",
                      "Streams whose client has gone, or that have ended, and "
                      "that can be resumed.")),
      resumed_(MakeCounter(*registry_, "tandem_http_streams_resumed_total",
                           "Streams that a client has come back to.")),
      given_up_(MakeCounter(*registry_, "tandem_http_streams_cancelled_total",
                            "Turns that were cancelled because their client "
                            "did not come back.")) {
  MakeGauges(*registry_, "tandem_build_info", "The version, as a label.")
      .Add({{"version", kTandemVersion}})
      .Set(1);
}

void GatewayMetrics::CountRequest(const std::string& route, int status) {
  requests_.Add({{"route", route}, {"status", absl::StrCat(status)}})
      .Increment();
}

}  // namespace tandem::gateway
