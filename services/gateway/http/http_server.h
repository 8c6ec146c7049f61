// A server of HTTP/1.1 for many connections at once: a thread that accepts
// within bounds (services/common/listen), and kIoThreads that serve all
// connections. Owned by main's GatewayServer, whose thread starts and stops it.

#ifndef TANDEM_SERVICES_GATEWAY_HTTP_HTTP_SERVER_H_
#define TANDEM_SERVICES_GATEWAY_HTTP_HTTP_SERVER_H_

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/base/status.h"
#include "services/common/listen/connection_acceptor.h"
#include "services/gateway/http/http_exchange.h"
#include "services/gateway/http/http_limits.h"

namespace tandem::gateway {

// Requests are small and streams wait: one thread would do for 1,000 streams,
// two keep a large body that is being read from holding up all of them.
inline constexpr int kIoThreads = 2;

struct HttpServerOptions {
  absl::string_view flag;  // which gave `address`, for messages
  std::string address;     // has passed CheckListenAddress
  HttpLimits limits = {};
  ConnectionCounters* refused = nullptr;  // as AcceptorOptions::refused
};

class HttpServer {
 public:
  // Listens. `handler` outlives the server. Errors: INVALID_ARGUMENT, of
  // ListeningSockets::Open.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(
      const HttpServerOptions& options, HttpHandler* handler);
  // Stops at once, if Stop was not called.
  ~HttpServer();

  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // With the port that was bound.
  const std::string& address() const;
  // Takes no more connections and requests, lets answers that are under way
  // end within `drain`, then ends streams by their StopText. Once.
  void Stop(absl::Duration drain);

 private:
  class Loop;

  explicit HttpServer(std::unique_ptr<Loop> loop);

  const std::unique_ptr<Loop> loop_;
};

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_HTTP_HTTP_SERVER_H_
