#include "services/gateway/server/gateway_server.h"

#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "services/access/key_transport.h"
#include "services/common/credentials.h"
#include "services/gateway/server/turn_end.h"

namespace tandem::gateway {

absl::Status CheckGatewayListen(const std::string& address) {
  // What is no address at all has a message of its own.
  TANDEM_RETURN_IF_ERROR(
      CheckListenAddress(address, {}, /*allow_insecure=*/true));
  if (IsLocalAddress(address)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--listen ", address,
      ": others can reach this address, and the gateway has no TLS; listen at "
      "a loopback address or unix:PATH, and put a proxy that ends TLS on this "
      "host in front of it"));
}

absl::StatusOr<std::unique_ptr<GatewayServer>> GatewayServer::Start(
    const GatewayOptions& options) {
  TANDEM_RETURN_IF_ERROR(CheckGatewayListen(options.listen));
  for (const std::string& origin : options.origins.cors_origins) {
    TANDEM_RETURN_IF_ERROR(CheckCorsOrigin(origin));
  }
  TANDEM_ASSIGN_OR_RETURN(
      std::unique_ptr<client::Client> client,
      client::Client::Make(
          {.address = options.coordinator, .tls = options.coordinator_tls}));
  auto server = absl::WrapUnique(new GatewayServer(options, std::move(client)));
  TANDEM_RETURN_IF_ERROR(server->Listen(options));
  return server;
}

GatewayServer::GatewayServer(const GatewayOptions& options,
                             std::unique_ptr<client::Client> client)
    : client_(std::move(client)),
      store_(
          [this](const StoredStream& stream) {
            metrics_.given_up().Increment();
            EndTurn(client_->Resume({.session_id = stream.name.session_id,
                                     .turn = stream.name.turn},
                                    stream.call));
          },
          options.resume_time),
      pool_(std::make_unique<CallPool>()),
      texts_pool_(std::make_unique<CallPool>(kTextsThreads)),
      texts_(client_.get(), texts_pool_.get()),
      handler_({.client = client_.get(),
                .pool = pool_.get(),
                .store = &store_,
                .texts = &texts_,
                .metrics = &metrics_,
                .assets = options.assets,
                .origins = options.origins}) {}

absl::Status GatewayServer::Listen(const GatewayOptions& options) {
  TANDEM_ASSIGN_OR_RETURN(http_,
                          HttpServer::Start({.flag = "--listen",
                                             .address = options.listen,
                                             .limits = options.limits,
                                             .refused = metrics_.refused()},
                                            &handler_));
  if (options.metrics.listen.empty()) return absl::OkStatus();
  TANDEM_ASSIGN_OR_RETURN(
      metrics_server_,
      MetricsServer::Start(options.metrics,
                           {.registry = metrics_.registry(), .refresh = [this] {
                              metrics_.left().Set(
                                  static_cast<double>(store_.left()));
                            }}));
  return absl::OkStatus();
}

GatewayServer::~GatewayServer() {
  metrics_server_.reset();
  http_.reset();
  store_.Stop();
  pool_.reset();
  texts_pool_.reset();
  client_.reset();
}

std::string GatewayServer::metrics_address() const {
  return metrics_server_ == nullptr ? "" : metrics_server_->address();
}

void GatewayServer::Stop(absl::Duration drain) { http_->Stop(drain); }

}  // namespace tandem::gateway
