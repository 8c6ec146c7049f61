#include "services/coordinator/server/coordinator_server.h"

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server_builder.h>
#include <spdlog/spdlog.h>

#include <random>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/channel.h"
#include "services/common/listening.h"
#include "services/common/worker_protocol.h"

namespace tandem {
namespace {

// Long texts and messages that wait to be made tokens: as many as turns run by
// default, so that they may all start at once. A usual chat takes well below
// 1 ms, a text of 100 KiB about 10 ms.
constexpr int64_t kBackgroundTasksMax = 1024;
// After the drain, for streams whose client reads no more.
constexpr std::chrono::seconds kShutdownGrace(1);
constexpr std::chrono::seconds kWorkerStreamsGrace(5);

absl::Status CheckAddresses(const CoordinatorOptions& options) {
  for (const auto* list : {&options.workers.targets, &options.workers.drafts}) {
    const absl::Status status = AddressBook::Parse(*list).status();
    if (status.ok()) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        list == &options.workers.targets ? "--target: " : "--draft: ",
        status.message()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<CoordinatorServer>> CoordinatorServer::Start(
    const CoordinatorOptions& options) {
  TANDEM_RETURN_IF_ERROR(CheckAddresses(options));
  TANDEM_ASSIGN_OR_RETURN(
      std::shared_ptr<grpc::ChannelCredentials> worker_credentials,
      MakeChannelCredentials(options.worker_tls));
  // The constructor is private.
  std::unique_ptr<CoordinatorServer> server(
      new CoordinatorServer(options, std::move(worker_credentials)));
  TANDEM_RETURN_IF_ERROR(server->ServeMetrics(options.metrics));
  TANDEM_RETURN_IF_ERROR(server->Listen(options));
  server->pool_.Start();
  return server;
}

CoordinatorServer::CoordinatorServer(
    const CoordinatorOptions& options,
    std::shared_ptr<grpc::ChannelCredentials> worker_credentials)
    : pool_(options.workers, std::move(worker_credentials), &tokenizers_),
      router_([this] { return pool_.Workers(); }, std::random_device()()),
      sessions_(loop_.loop(), options.sessions),
      background_(std::make_unique<BackgroundThread>(kBackgroundTasksMax)),
      service_(&services_, &registry_) {
  services_.loop = loop_.loop();
  services_.sessions = &sessions_;
  services_.router = &router_;
  services_.background = background_.get();
  services_.turns_max = options.turns_max;
  services_.turn_limits = options.turn_limits;
  services_.observer = &metrics_;
  pool_.SetChangeListener([this] { UpdateReady(); });
}

CoordinatorServer::~CoordinatorServer() { Stop(std::chrono::milliseconds(0)); }

absl::Status CoordinatorServer::Listen(const CoordinatorOptions& options) {
  TANDEM_ASSIGN_OR_RETURN(
      ListeningServer listening,
      StartServer({.flag = "--listen",
                   .address = options.listen,
                   .tls = options.tls,
                   .reflection =
                       options.reflection ? Reflection::kOn : Reflection::kOff},
                  [this](grpc::ServerBuilder* builder) {
                    builder->RegisterService(&service_);
                  }));
  server_ = std::move(listening.server);
  address_ = std::move(listening.address);
  server_->GetHealthCheckService()->SetServingStatus(kHealthStarted, true);
  UpdateReady();
  return absl::OkStatus();
}

absl::Status CoordinatorServer::ServeMetrics(const MetricsFlags& flags) {
  if (flags.listen.empty()) return absl::OkStatus();
  TANDEM_ASSIGN_OR_RETURN(
      metrics_server_, MetricsServer::Start(flags, metrics_.registry(), [this] {
        const std::shared_ptr<const WorkerTable> table = pool_.Workers();
        metrics_.SetLevels({.turns = turns(),
                            .sessions = sessions(),
                            .streams = static_cast<int64_t>(registry_.size()),
                            .workers = table->workers()});
      }));
  spdlog::info("metrics at http://{}/metrics", metrics_server_->address());
  return absl::OkStatus();
}

std::string CoordinatorServer::metrics_address() const {
  return metrics_server_ == nullptr ? "" : metrics_server_->address();
}

void CoordinatorServer::UpdateReady() {
  const absl::MutexLock lock(&ready_mutex_);
  const bool is_ready = !services_.draining.load() && router_.HasTarget();
  server_->GetHealthCheckService()->SetServingStatus(kHealthReady, is_ready);
}

void CoordinatorServer::Stop(std::chrono::milliseconds drain_timeout) {
  if (std::exchange(stopped_, true)) return;
  services_.draining.store(true);
  if (server_ != nullptr) {
    UpdateReady();
    registry_.PostDrain();
    spdlog::info("draining: {} streams open", registry_.size());
    if (!registry_.WaitUntilEmpty(drain_timeout)) {
      spdlog::warn("drain time is over: {} streams are ended",
                   registry_.size());
      registry_.PostStop();
      registry_.WaitUntilEmpty(kShutdownGrace);
    }
    server_->Shutdown(std::chrono::system_clock::now());
    registry_.WaitUntilEmpty(kWorkerStreamsGrace);
  }
  metrics_server_.reset();
  background_.reset();
  WaitForWorkerStreams();
  pool_.Stop();
  loop_.Stop();
}

// A worker call that was cancelled reports its end to the loop; then it is
// gone.
void CoordinatorServer::WaitForWorkerStreams() {
  const auto give_up = std::chrono::steady_clock::now() + kWorkerStreamsGrace;
  while (pool_.own_streams() > 0 &&
         std::chrono::steady_clock::now() < give_up) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace tandem
