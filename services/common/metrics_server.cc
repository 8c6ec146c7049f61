#include "services/common/metrics_server.h"

#include <httplib.h>
#include <prometheus/text_serializer.h>
#include <sys/socket.h>

#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/common/address.h"
#include "services/common/credentials.h"
#include "services/common/listening.h"

namespace tandem {
namespace {

constexpr char kContentType[] = "text/plain; version=0.0.4; charset=utf-8";
constexpr size_t kRequestBodyBytesMax = 1024;
constexpr time_t kTimeoutSeconds = 5;

}  // namespace

absl::Status CheckMetricsFlags(const MetricsFlags& flags) {
  if (flags.listen.empty()) return absl::OkStatus();
  if (absl::StartsWith(flags.listen, "unix:")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--metrics-listen ", flags.listen, ": takes host:port only"));
  }
  const absl::Status any_host =
      CheckListenAddress(flags.listen, {}, /*allow_insecure=*/true);
  if (!any_host.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--metrics-listen ", flags.listen,
                     ": is not host:port or [ipv6]:port; e.g. 127.0.0.1:0"));
  }
  if (CheckListenAddress(flags.listen, {}, flags.insecure_listen).ok()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--metrics-listen ", flags.listen,
      ": others can reach this address, and metrics have no TLS; give "
      "--insecure-metrics-listen where the network is trusted"));
}

MetricsServer::MetricsServer(std::shared_ptr<prometheus::Registry> registry,
                             std::function<void()> refresh)
    : registry_(std::move(registry)),
      refresh_(std::move(refresh)),
      server_(std::make_unique<httplib::Server>()) {}

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(
    const MetricsFlags& flags, std::shared_ptr<prometheus::Registry> registry,
    std::function<void()> refresh) {
  TANDEM_RETURN_IF_ERROR(CheckMetricsFlags(flags));
  std::unique_ptr<MetricsServer> server(
      new MetricsServer(std::move(registry), std::move(refresh)));
  TANDEM_RETURN_IF_ERROR(server->Listen(flags));
  return server;
}

absl::Status MetricsServer::Listen(const MetricsFlags& flags) {
  server_->new_task_queue = [] { return new httplib::ThreadPool(kScrapesMax); };
  // The library's default lets two processes share a port.
  server_->set_socket_options([](int socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  });
  server_->set_payload_max_length(kRequestBodyBytesMax);
  server_->set_read_timeout(kTimeoutSeconds);
  server_->set_write_timeout(kTimeoutSeconds);
  server_->set_keep_alive_timeout(kTimeoutSeconds);
  server_->Get("/metrics",
               [this](const httplib::Request&, httplib::Response& response) {
                 response.set_content(Scrape(), kContentType);
               });
  TANDEM_RETURN_IF_ERROR(CheckCanListen("--metrics-listen", flags.listen));
  const HostPort at = *ParseHostPort(flags.listen);
  int port = at.port;
  if (port == 0) {
    port = server_->bind_to_any_port(at.host.c_str());
  } else if (!server_->bind_to_port(at.host.c_str(), port)) {
    port = -1;
  }
  if (port <= 0) {
    return CannotListen("--metrics-listen", flags.listen);
  }
  address_ = BoundAddress(flags.listen, port);
  thread_ = std::thread([this] { server_->listen_after_bind(); });
  // It can not be stopped before it runs.
  while (!server_->is_running()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return absl::OkStatus();
}

MetricsServer::~MetricsServer() {
  if (!thread_.joinable()) return;
  server_->stop();
  thread_.join();
}

std::string MetricsServer::Scrape() {
  absl::MutexLock lock(&mutex_);
  refresh_();
  return prometheus::TextSerializer().Serialize(registry_->Collect());
}

}  // namespace tandem
