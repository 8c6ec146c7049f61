// tandem-gateway: the HTTP API that OpenAI's clients speak, in front of a
// coordinator.

#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>

#include "services/common/address.h"
#include "services/common/flag_messages.h"
#include "services/common/flag_values.h"
#include "services/common/listen/listening.h"
#include "services/common/logging.h"
#include "services/common/process_exit.h"
#include "services/common/sandbox/sandbox.h"
#include "services/common/server_flags.h"
#include "services/common/signals.h"
#include "services/gateway/server/gateway_server.h"

namespace tandem::gateway {
namespace {

constexpr char kProgram[] = "tandem-gateway";

struct Flags {
  ServerFlags server;
  GatewayOptions gateway;
};

void AddFlags(CLI::App* app, Flags* flags) {
  GatewayOptions& options = flags->gateway;
  flags->server.listen = options.listen;
  app->add_option("--coordinator", options.coordinator,
                  "Address of the coordinator: host:port, unix:PATH or "
                  "dns:///NAME:PORT")
      ->check(NotEmpty("an address"))
      ->capture_default_str();
  app->add_option("--coordinator-ca", options.coordinator_tls.ca,
                  "Roots for the coordinator's certificate (PEM); TLS to it");
  app->add_option("--coordinator-cert", options.coordinator_tls.cert,
                  "Certificate shown to the coordinator (PEM)");
  app->add_option("--coordinator-key", options.coordinator_tls.key,
                  "Its key (PEM)");
  app->add_option("--cors-origin", options.origins.cors_origins,
                  "Origins of other sites, comma separated, whose pages may "
                  "ask this gateway: https://chat.example.org")
      ->delimiter(',')
      ->check(NotEmpty("an origin"));
  app->add_option("--allow-host", options.origins.hosts,
                  "Names, comma separated and without port, under which a "
                  "proxy in front is reached; loopback names always are known")
      ->delimiter(',')
      ->check(NotEmpty("a name"));
  AddPlainServerFlags(app, &flags->server);
  SetExamples(app, {"tandem-gateway",
                    "tandem-gateway --coordinator 127.0.0.1:7070 --listen "
                    "127.0.0.1:8080",
                    "tandem-gateway --listen unix:/tmp/gateway.sock "
                    "--allow-host api.example.org"});
}

// What the gateway opens beyond the flags that all servers have.
FileAccess FilesOf(const GatewayOptions& options) {
  FileAccess access;
  access.ReadBeside(options.coordinator_tls.ca);
  access.ReadBeside(options.coordinator_tls.cert);
  access.ReadBeside(options.coordinator_tls.key);
  // The coordinator is looked up again after a lost connection.
  access.ReadBeside("/etc/resolv.conf");
  return access;
}

absl::Status CheckFlags(const Flags& flags) {
  TANDEM_RETURN_IF_ERROR(CheckGatewayListen(flags.server.listen));
  TANDEM_RETURN_IF_ERROR(CheckMetricsFlags(flags.server.metrics));
  const absl::Status peer = CheckPeerAddress(flags.gateway.coordinator);
  return peer.ok() ? peer : Annotate(peer, "--coordinator");
}

int Main(int argc, char** argv) {
  CLI::App app(
      "Serves the HTTP API that OpenAI's clients speak, in front of a "
      "coordinator.",
      kProgram);
  Flags flags;
  AddFlags(&app, &flags);
  if (const std::optional<int> code = ParseFlags(&app, argc, argv)) {
    return *code;
  }
  InitLogging(flags.server.log_format, flags.server.log_level);
  Sandbox sandbox(flags.server, FilesOf(flags.gateway));
  SignalWatcher signal;
  absl::Status status = CheckFlags(flags);
  if (!status.ok()) return PrintUsageError(kProgram, status);
  flags.gateway.listen = flags.server.listen;
  flags.gateway.metrics = flags.server.metrics;
  absl::StatusOr<std::unique_ptr<GatewayServer>> server =
      GatewayServer::Start(flags.gateway);
  if (!server.ok()) {
    PrintUsageError(kProgram, server.status());
    return absl::IsInvalidArgument(server.status()) ? kExitUsage : kExitFailed;
  }
  status = WriteAddressFile(flags.server.address_file, (*server)->address());
  if (status.ok()) {
    status = WriteAddressFile(flags.server.metrics_address_file,
                              (*server)->metrics_address());
  }
  if (!status.ok()) return PrintUsageError(kProgram, status);
  sandbox.Seal({.connects = true});
  spdlog::info("listening on {}", (*server)->address());
  signal.Wait();
  (*server)->Stop(absl::Milliseconds(flags.server.drain_timeout_ms));
  spdlog::info("stopped");
  return kExitOk;
}

}  // namespace
}  // namespace tandem::gateway

int main(int argc, char** argv) {
  tandem::BeginProcess();
  tandem::EndProcess(tandem::gateway::Main(argc, argv));
}
