#include "services/worker/server/worker_server.h"

#include <grpcpp/health_check_service_interface.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/common/credentials.h"
#include "services/common/listening.h"
#include "services/common/worker_protocol.h"

namespace tandem {
namespace {

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

}  // namespace

WorkerServer::WorkerServer(const WorkerOptions& options)
    : options_(options),
      metrics_(options.loader.role),
      service_([this](const StepReport& step) { metrics_.OnStep(step); },
               options.bounds),
      loader_(options.loader, service_.models()),
      admin_service_(service_.models(), &loader_, options.model_folder) {}

absl::StatusOr<std::unique_ptr<WorkerServer>> WorkerServer::Listen(
    const WorkerOptions& options) {
  std::unique_ptr<WorkerServer> server(new WorkerServer(options));
  TANDEM_RETURN_IF_ERROR(server->Start());
  return server;
}

absl::StatusOr<ListeningServer> WorkerServer::StartPort(
    absl::string_view flag, const std::string& listen,
    absl::FunctionRef<void(grpc::ServerBuilder*)> add_services) const {
  return StartServer(
      {.flag = flag,
       .address = listen,
       .tls = options_.server.tls,
       .reflection =
           options_.server.reflection ? Reflection::kOn : Reflection::kOff},
      add_services);
}

absl::Status WorkerServer::Start() {
  TANDEM_RETURN_IF_ERROR(CheckServerFlags(options_.server));
  TANDEM_RETURN_IF_ERROR(ServeMetrics());
  TANDEM_ASSIGN_OR_RETURN(ListeningServer listening,
                          StartPort("--listen", options_.server.listen,
                                    [this](grpc::ServerBuilder* builder) {
                                      service_.AddTo(builder);
                                    }));
  server_ = std::move(listening.server);
  address_ = std::move(listening.address);
  {
    absl::MutexLock lock(&mutex_);
    server_->GetHealthCheckService()->SetServingStatus(kHealthStarted, false);
    UpdateReady();
  }
  monitor_ = std::thread([this] { MonitorStalls(); });
  spdlog::info("listening at {}", address_);
  if (!options_.admin_listen.empty()) TANDEM_RETURN_IF_ERROR(StartAdmin());
  return WriteAddressFile(options_.server.address_file, address_);
}

absl::Status WorkerServer::ServeMetrics() {
  if (options_.server.metrics.listen.empty()) return absl::OkStatus();
  const auto refresh = [this] {
    WorkerLevels levels{.load = service_.Report()};
    {
      absl::MutexLock lock(&mutex_);
      levels.ready = IsReady();
      levels.stalled = stalled_;
    }
    metrics_.SetLevels(levels);
  };
  TANDEM_ASSIGN_OR_RETURN(metrics_server_,
                          MetricsServer::Start(options_.server.metrics,
                                               metrics_.registry(), refresh));
  spdlog::info("metrics at http://{}/metrics", metrics_server_->address());
  return WriteAddressFile(options_.server.metrics_address_file,
                          metrics_server_->address());
}

std::string WorkerServer::metrics_address() const {
  return metrics_server_ == nullptr ? "" : metrics_server_->address();
}

absl::Status WorkerServer::StartAdmin() {
  TANDEM_RETURN_IF_ERROR(CheckAdminAddress(options_));
  TANDEM_ASSIGN_OR_RETURN(
      ListeningServer listening,
      StartPort(
          "--admin-listen", options_.admin_listen,
          [this](grpc::ServerBuilder* builder) {
            builder->RegisterService(&admin_service_);
            builder->SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
            builder->SetResourceQuota(
                grpc::ResourceQuota("admin").SetMaxThreads(kAdminThreadsMax));
          }));
  admin_server_ = std::move(listening.server);
  admin_address_ = std::move(listening.address);
  spdlog::info("admin service at {}", admin_address_);
  return WriteAddressFile(options_.admin_address_file, admin_address_);
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
  absl::MutexLock lock(&mutex_);
  loaded_ = true;
  server_->GetHealthCheckService()->SetServingStatus(kHealthStarted, true);
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

void WorkerServer::MonitorStalls() {
  absl::MutexLock lock(&mutex_);
  while (
      !mutex_.AwaitWithTimeout(absl::Condition(&stop_), kStallCheckInterval)) {
    const bool stalled = service_.IsStalled(options_.stall_limit);
    dead_ = service_.IsStalled(options_.dead_limit);
    server_->GetHealthCheckService()->SetServingStatus("", !dead_);
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
  server_->GetHealthCheckService()->SetServingStatus(kHealthReady, IsReady());
}

}  // namespace tandem
