#include "services/worker/server/worker_server.h"

#include <grpcpp/health_check_service_interface.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/access/call_interceptor.h"
#include "services/common/credentials.h"
#include "services/common/listen/listening.h"
#include "services/common/worker_protocol.h"
#include "services/identity/caller_names.h"

namespace tandem {
namespace {

constexpr char kAllowCallerFlag[] = "--allow-caller";
constexpr char kAdminAllowCallerFlag[] = "--admin-allow-caller";

// Progress is logged at each tenth.
std::function<void(double)> LogProgress(const std::string& id) {
  return [id, last = -1](double fraction) mutable {
    const int tenth = static_cast<int>(fraction * 10);
    if (tenth <= last) return;
    last = tenth;
    spdlog::info("loading model {}: {}%", id, tenth * 10);
  };
}

// A client of the admin server may load and unload models: strangers must
// not, and TLS without client certificates lets everybody in.
absl::Status CheckAdminAddress(const WorkerOptions& options) {
  ServerTlsFiles tls = options.server.tls;
  if (tls.client_ca.empty()) tls = {};
  const absl::Status status =
      CheckListenAddress(options.admin_listen, tls, /*allow_insecure=*/false);
  if (status.ok()) return status;
  return absl::InvalidArgumentError(absl::StrCat(
      "--admin-listen ", options.admin_listen,
      ": must be a loopback address or unix:PATH, or --tls-client-ca must be "
      "given"));
}

// Under mutual TLS every client of an installation has a certificate: who may
// call is said by name.
absl::Status CheckCallers(const WorkerOptions& options) {
  const std::string& client_ca = options.server.tls.client_ca;
  TANDEM_RETURN_IF_ERROR(
      CheckCallerFlag(kAllowCallerFlag, options.allow_callers, client_ca));
  if (!options.admin_listen.empty()) {
    return CheckCallerFlag(kAdminAllowCallerFlag, options.admin_allow_callers,
                           client_ca);
  }
  if (options.admin_allow_callers.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(kAdminAllowCallerFlag, " needs --admin-listen"));
}

}  // namespace

WorkerServer::WorkerServer(const WorkerOptions& options)
    : options_(options),
      metrics_(options.loader.role),
      certificate_metrics_(*metrics_.registry()),
      gate_(*metrics_.registry()),
      service_([this](const StepReport& step) { metrics_.OnStep(step); },
               options.bounds),
      loader_(options.loader, service_.models()),
      admin_service_(service_.models(), &loader_, &gate_,
                     options.model_folder) {}

absl::StatusOr<std::unique_ptr<WorkerServer>> WorkerServer::Listen(
    const WorkerOptions& options) {
  std::unique_ptr<WorkerServer> server(new WorkerServer(options));
  TANDEM_RETURN_IF_ERROR(server->Start());
  return server;
}

absl::StatusOr<ListenOptions> WorkerServer::PortOptions(
    absl::string_view flag, const std::string& listen) {
  TANDEM_ASSIGN_OR_RETURN(std::shared_ptr<grpc::ServerCredentials> credentials,
                          certificates_.ForServer(options_.server.tls));
  return ListenOptions{.flag = flag,
                       .address = listen,
                       .credentials = std::move(credentials),
                       .reflection = options_.server.reflection
                                         ? Reflection::kOn
                                         : Reflection::kOff,
                       .refused = metrics_.refused_connections()};
}

absl::Status WorkerServer::Start() {
  TANDEM_RETURN_IF_ERROR(CheckServerFlags(options_.server));
  TANDEM_RETURN_IF_ERROR(CheckCallers(options_));
  service_.SetCallers({kAllowCallerFlag, options_.allow_callers});
  admin_service_.SetCallers(
      {kAdminAllowCallerFlag, options_.admin_allow_callers});
  if (!options_.server.keys.empty()) {
    TANDEM_RETURN_IF_ERROR(gate_.UseKeyFile({.path = options_.server.keys}));
  }
  TANDEM_RETURN_IF_ERROR(ServeMetrics());
  TANDEM_ASSIGN_OR_RETURN(ListenOptions port,
                          PortOptions("--listen", options_.server.listen));
  port.threads_max = kBlockingCallsMax;
  TANDEM_ASSIGN_OR_RETURN(
      server_, StartServer(port, [this](grpc::ServerBuilder* builder) {
        service_.AddTo(builder);
      }));
  {
    absl::MutexLock lock(&mutex_);
    server_->health()->SetServingStatus(kHealthStarted, false);
    UpdateReady();
  }
  monitor_ = std::thread([this] { MonitorStalls(); });
  spdlog::info("listening at {}", address());
  if (!options_.admin_listen.empty()) TANDEM_RETURN_IF_ERROR(StartAdmin());
  return WriteAddressFile(options_.server.address_file, address());
}

absl::Status WorkerServer::ServeMetrics() {
  if (options_.server.metrics.listen.empty()) return absl::OkStatus();
  const auto refresh = [this] {
    gate_.UpdateMetrics();
    WorkerLevels levels{.load = service_.Report()};
    {
      absl::MutexLock lock(&mutex_);
      levels.ready = IsReady();
      levels.stalled = stalled_;
    }
    metrics_.SetLevels(levels);
    certificate_metrics_.SetStates(certificates_.States());
  };
  const MetricsFlags& flags = options_.server.metrics;
  TANDEM_ASSIGN_OR_RETURN(
      metrics_server_,
      MetricsServer::Start(flags,
                           {.registry = metrics_.registry(),
                            .refresh = refresh,
                            .may_read = gate_.MetricsCheck(flags.listen)}));
  spdlog::info("metrics at http://{}/metrics", metrics_server_->address());
  return WriteAddressFile(options_.server.metrics_address_file,
                          metrics_server_->address());
}

std::string WorkerServer::metrics_address() const {
  return metrics_server_ == nullptr ? "" : metrics_server_->address();
}

absl::Status WorkerServer::StartAdmin() {
  TANDEM_RETURN_IF_ERROR(CheckAdminAddress(options_));
  TANDEM_ASSIGN_OR_RETURN(ListenOptions options,
                          PortOptions("--admin-listen", options_.admin_listen));
  options.use = PortUse::kOperators;
  options.threads_max = kAdminThreadsMax;
  TANDEM_ASSIGN_OR_RETURN(
      admin_server_, StartServer(options, [this](grpc::ServerBuilder* builder) {
        builder->RegisterService(&admin_service_);
        GuardCalls(&gate_, builder);
        builder->SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
      }));
  spdlog::info("admin service at {}", admin_address());
  return WriteAddressFile(options_.admin_address_file, admin_address());
}

WorkerServer::~WorkerServer() {
  metrics_server_.reset();
  if (server_ == nullptr) return;
  service_.StartDraining();
  service_.EndWatches();
  server_->Shutdown(std::chrono::system_clock::now());
  service_.WaitForStreams(absl::InfiniteDuration());
  // After the streams, for which an unload may wait.
  if (admin_server_ != nullptr) {
    admin_server_->Shutdown(std::chrono::system_clock::now());
  }
  if (!monitor_.joinable()) return;
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
    stopping_.Notify();
  }
  monitor_.join();
}

absl::Status WorkerServer::Load() {
  std::vector<ModelSpec> specs = options_.models;
  TANDEM_RETURN_IF_ERROR(loader_.Plan(&specs));
  for (const ModelSpec& spec : specs) {
    TANDEM_RETURN_IF_ERROR(loader_.Load(spec, LogProgress(ModelIdOf(spec))));
  }
  // A later one may have pushed out an earlier one.
  if (service_.models()->States().size() != options_.models.size()) {
    return absl::InvalidArgumentError(
        "--model-memory-max-bytes: the models of --model do not fit together");
  }
  service_.SetLoaded(options_.loader.role);
  BecomeReady();
  return absl::OkStatus();
}

void WorkerServer::Serve(WorkerModelParts parts) {
  service_.SetModel(std::move(parts));
  BecomeReady();
}

void WorkerServer::BecomeReady() {
  admin_service_.TakeRequests();
  absl::MutexLock lock(&mutex_);
  loaded_ = true;
  server_->health()->SetServingStatus(kHealthStarted, true);
  UpdateReady();
}

void WorkerServer::Drain() {
  {
    absl::MutexLock lock(&mutex_);
    draining_ = true;
    UpdateReady();
  }
  spdlog::info("draining: no new sequences, at most {} ms for running ones",
               options_.server.drain_timeout_ms);
  service_.StartDraining();
  const bool idle = service_.WaitForStreams(
      absl::Milliseconds(options_.server.drain_timeout_ms));
  if (!idle) spdlog::warn("the drain time is over; ending what still runs");
  service_.EndWatches();
  server_->Shutdown(
      std::chrono::system_clock::now() +
      absl::ToChronoMilliseconds(idle ? kShutdownGrace : absl::ZeroDuration()));
  service_.WaitForStreams(absl::InfiniteDuration());
  spdlog::info("stopped");
}

void WorkerServer::Reload() {
  certificates_.Reload();
  gate_.Reload().IgnoreError();  // logged there
}

void WorkerServer::MonitorStalls() {
  const auto is_over = [this]()
                           ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stop_; };
  absl::MutexLock lock(&mutex_);
  while (!stopping_.Await(&mutex_, MonotonicNow() + kStallCheckInterval,
                          is_over)) {
    const bool stalled = service_.IsStalled(options_.stall_limit);
    dead_ = service_.IsStalled(options_.dead_limit);
    server_->health()->SetServingStatus("", !dead_);
    if (stalled == stalled_) continue;
    stalled_ = stalled;
    if (stalled) {
      spdlog::error("the compute thread does not move; not ready");
    } else {
      spdlog::warn("the compute thread moves again");
    }
    UpdateReady();
  }
}

void WorkerServer::UpdateReady() {
  server_->health()->SetServingStatus(kHealthReady, IsReady());
}

}  // namespace tandem
