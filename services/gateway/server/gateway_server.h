// A whole gateway: the server of HTTP, the client of the coordinator, and what
// stands between. Owned by main (or a test), which alone calls it.

#ifndef TANDEM_SERVICES_GATEWAY_SERVER_GATEWAY_SERVER_H_
#define TANDEM_SERVICES_GATEWAY_SERVER_GATEWAY_SERVER_H_

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/base/status.h"
#include "services/client/client.h"
#include "services/common/listen/metrics_server.h"
#include "services/common/metrics_flags.h"
#include "services/gateway/http/http_limits.h"
#include "services/gateway/http/http_server.h"
#include "services/gateway/http/origin_rules.h"
#include "services/gateway/server/asset.h"
#include "services/gateway/server/call_pool.h"
#include "services/gateway/server/gateway_handler.h"
#include "services/gateway/server/gateway_metrics.h"
#include "services/gateway/server/stream_store.h"
#include "services/gateway/server/token_text_cache.h"

namespace tandem::gateway {

struct GatewayOptions {
  std::string listen = "127.0.0.1:8080";
  std::string coordinator = "127.0.0.1:7070";
  ChannelTlsFiles coordinator_tls = {};
  OriginRules origins = {};
  MetricsFlags metrics = MetricsFlags();
  HttpLimits limits = {};
  absl::Duration resume_time = kResumeTime;
  absl::Span<const Asset> assets = PageAssets();
};

// OK where a gateway may listen at `address`: keys and texts cross no network
// in plain text, so at a loopback address or unix:PATH. Errors:
// INVALID_ARGUMENT with the remedy.
absl::Status CheckGatewayListen(const std::string& address);

class GatewayServer {
 public:
  // Listens; the coordinator is connected to with the first request. Errors:
  // INVALID_ARGUMENT for addresses, files and origins.
  static absl::StatusOr<std::unique_ptr<GatewayServer>> Start(
      const GatewayOptions& options);
  // Stops at once, if Stop was not called.
  ~GatewayServer();

  GatewayServer(const GatewayServer&) = delete;
  GatewayServer& operator=(const GatewayServer&) = delete;

  // The address with the port that was bound.
  const std::string& address() const { return http_->address(); }
  // Where metrics are served; empty: nowhere.
  std::string metrics_address() const;

  // Takes no new request, lets those under way end within `drain`, then ends
  // streams by an error event. Once.
  void Stop(absl::Duration drain);

 private:
  GatewayServer(const GatewayOptions& options,
                std::unique_ptr<client::Client> client);
  absl::Status Listen(const GatewayOptions& options);

  // Members go in the opposite order, after ~GatewayServer's own: the store's
  // thread, the pool and the turns' callbacks use the client.
  GatewayMetrics metrics_;
  std::unique_ptr<client::Client> client_;
  StreamStore store_;
  std::unique_ptr<CallPool> pool_;
  // Its calls come by the thousand where log-probabilities of a long prompt are
  // asked for, and keep no other call waiting.
  std::unique_ptr<CallPool> texts_pool_;
  TokenTextCache texts_;
  GatewayHandler handler_;
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<MetricsServer> metrics_server_;
};

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_SERVER_GATEWAY_SERVER_H_
