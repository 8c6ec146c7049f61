#include "services/coordinator/server/coordinator_server.h"

#include <spdlog/spdlog.h>

#include <random>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/access/call_interceptor.h"
#include "services/access/key_transport.h"
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
// A session goes this much late at most.
constexpr std::chrono::minutes kPruneInterval(10);

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

// Null where sessions live in the process alone.
absl::StatusOr<std::unique_ptr<StateStore>> OpenStore(
    const StoreOptions& options) {
  if (!options.postgres.address.address.empty()) {
    if (!options.state_dir.empty()) {
      return absl::InvalidArgumentError(
          "--state-dir and --store name one store each: take one of both");
    }
    absl::StatusOr<std::unique_ptr<StateStore>> store =
        OpenPostgresStore(options.postgres, {});
    if (!store.ok()) return Annotate(store.status(), "--store");
    return store;
  }
  if (options.state_dir.empty()) return nullptr;
  absl::StatusOr<std::unique_ptr<StateStore>> store =
      OpenSqliteStore(options.state_dir, {});
  if (!store.ok()) return Annotate(store.status(), "--state-dir");
  return store;
}

}  // namespace

absl::StatusOr<std::unique_ptr<CoordinatorServer>> CoordinatorServer::Start(
    const CoordinatorOptions& options) {
  TANDEM_RETURN_IF_ERROR(CheckAddresses(options));
  TANDEM_ASSIGN_OR_RETURN(std::unique_ptr<StateStore> store,
                          OpenStore(options.store));
  auto certificates = std::make_unique<CertificateStore>();
  TANDEM_ASSIGN_OR_RETURN(
      std::shared_ptr<grpc::ChannelCredentials> worker_credentials,
      certificates->ForChannel(options.worker_tls));
  // The constructor is private.
  std::unique_ptr<CoordinatorServer> server(
      new CoordinatorServer(options, std::move(store), std::move(certificates),
                            std::move(worker_credentials)));
  TANDEM_RETURN_IF_ERROR(server->UseKeys(options));
  TANDEM_RETURN_IF_ERROR(server->ServeMetrics(options.metrics));
  TANDEM_RETURN_IF_ERROR(server->Listen(options));
  server->pool_.Start();
  if (server->sessions_.store != nullptr) {
    CoordinatorServer* const started = server.get();
    started->loop_.loop()->Post([started] {
      started->Prune();
      started->sessions_.watch.Start();
    });
  }
  return server;
}

CoordinatorServer::Bounds::Bounds(const CoordinatorOptions& options,
                                  CoordinatorServer* server)
    : memory(options.memory_bytes_max > 0 ? options.memory_bytes_max
                                          : DefaultMemoryBudget()),
      own_limits(&server->gate_),
      limits(options.tenant_limits, &own_limits),
      quotas(server->loop_.loop(), options.turns_max, &limits,
             std::random_device()()),
      quarantine(server->loop_.loop(), [server] {
        server->metrics_.OnPromptQuarantined();
        spdlog::error(
            "a prompt has ended two workers: it is quarantined for {} minutes",
            kQuarantineTime.count());
      }) {}

CoordinatorServer::Sessions::Sessions(const CoordinatorOptions& options,
                                      std::unique_ptr<StateStore> state_store,
                                      CoordinatorServer* server)
    : store(std::move(state_store)),
      retention(options.store.retention),
      here(server->loop_.loop(), options.sessions, &server->bounds_.limits,
           &server->bounds_.memory),
      loader({.store = store.get(),
              .is_shared = !options.store.postgres.address.address.empty(),
              .sessions = &here,
              .router = &server->router_,
              .quotas = &server->bounds_.quotas,
              .loop = server->loop_.loop(),
              .background = &server->background_,
              .turn_limits = options.turn_limits,
              .quarantine = &server->bounds_.quarantine,
              .observer = &server->metrics_}),
      left_turns(server->loop_.loop(), &here, &server->bounds_.memory),
      watch(store.get(), &here, server->loop_.loop()) {}

CoordinatorServer::CoordinatorServer(
    const CoordinatorOptions& options, std::unique_ptr<StateStore> store,
    std::unique_ptr<CertificateStore> certificates,
    std::shared_ptr<grpc::ChannelCredentials> worker_credentials)
    : certificates_(std::move(certificates)),
      certificate_metrics_(*metrics_.registry()),
      gate_(*metrics_.registry()),
      tokenizers_(options.reply_formats),
      pool_(options.workers, std::move(worker_credentials), &tokenizers_),
      router_([this] { return pool_.Workers(); }, std::random_device()()),
      bounds_(options, this),
      background_(kBackgroundTasksMax, &bounds_.memory),
      sessions_(options, std::move(store), this),
      service_(&services_, &registry_, &gate_),
      admin_service_({.services = &services_,
                      .pool = &pool_,
                      .metrics = &metrics_,
                      .gate = &gate_,
                      .sessions = {.store = sessions_.store.get(),
                                   .sessions = &sessions_.here,
                                   .loop = loop_.loop()}}),
      trimmer_([this] { CountShared(); }) {
  services_.loop = loop_.loop();
  services_.sessions = &sessions_.here;
  services_.router = &router_;
  services_.background = &background_;
  services_.memory = &bounds_.memory;
  services_.quotas = &bounds_.quotas;
  services_.left_turns = &sessions_.left_turns;
  services_.loader = &sessions_.loader;
  services_.turn_limits = options.turn_limits;
  services_.client_stall = options.client_stall;
  services_.quarantine = &bounds_.quarantine;
  services_.observer = &metrics_;
  TakeAppends(options.append_idle, &services_);
  pool_.SetChangeListener([this] { UpdateReady(); });
  pool_.SetAliveListener([this](const std::string& worker) {
    loop_.loop()->Post([this, worker] { bounds_.quarantine.OnAlive(worker); });
  });
}

CoordinatorServer::~CoordinatorServer() { Stop(std::chrono::milliseconds(0)); }

absl::Status CoordinatorServer::UseKeys(const CoordinatorOptions& options) {
  if (options.keys.empty()) return absl::OkStatus();
  TANDEM_RETURN_IF_ERROR(
      CheckKeyTransport("--listen", options.listen, options.tls));
  return gate_.UseKeyFile({.path = options.keys});
}

absl::Status CoordinatorServer::Listen(const CoordinatorOptions& options) {
  TANDEM_ASSIGN_OR_RETURN(std::shared_ptr<grpc::ServerCredentials> credentials,
                          certificates_->ForServer(options.tls));
  TANDEM_ASSIGN_OR_RETURN(
      server_, StartServer({.flag = "--listen",
                            .address = options.listen,
                            .credentials = std::move(credentials),
                            .reflection = options.reflection ? Reflection::kOn
                                                             : Reflection::kOff,
                            .refused = metrics_.refused_connections(),
                            .age = options.connection_age},
                           [this](grpc::ServerBuilder* builder) {
                             builder->RegisterService(&service_);
                             builder->RegisterService(&admin_service_);
                             GuardCalls(&gate_, builder);
                           }));
  server_->health()->SetServingStatus(kHealthStarted, true);
  UpdateReady();
  return absl::OkStatus();
}

absl::Status CoordinatorServer::ServeMetrics(const MetricsFlags& flags) {
  if (flags.listen.empty()) return absl::OkStatus();
  const auto refresh = [this] {
    gate_.UpdateMetrics();
    const std::shared_ptr<const WorkerTable> table = pool_.Workers();
    metrics_.SetLevels({.turns = turns(),
                        .sessions = sessions(),
                        .streams = static_cast<int64_t>(registry_.size()),
                        .workers = table->workers(),
                        .memory = &bounds_.memory});
    certificate_metrics_.SetStates(certificates_->States());
  };
  TANDEM_ASSIGN_OR_RETURN(
      metrics_server_,
      MetricsServer::Start(flags,
                           {.registry = metrics_.registry(),
                            .refresh = refresh,
                            .may_read = gate_.MetricsCheck(flags.listen)}));
  spdlog::info("metrics at http://{}/metrics", metrics_server_->address());
  return absl::OkStatus();
}

std::string CoordinatorServer::metrics_address() const {
  return metrics_server_ == nullptr ? "" : metrics_server_->address();
}

void CoordinatorServer::Reload() {
  certificates_->Reload();
  gate_.Reload().IgnoreError();  // logged there
}

void CoordinatorServer::CountShared() {
  bounds_.memory.SetShared(MemoryKind::kPrefixes, router_.prefix_bytes());
  bounds_.memory.SetShared(MemoryKind::kTokenizers, tokenizers_.bytes());
}

void CoordinatorServer::Prune() {
  sessions_.store->Prune(
      sessions_.retention, [](absl::StatusOr<int64_t> count) {
        if (!count.ok()) {
          spdlog::warn("old sessions were not deleted: {}",
                       std::string(count.status().message()));
        } else if (*count > 0) {
          spdlog::info("{} old sessions were deleted", *count);
        }
      });
  sessions_.prune_timer = loop_.loop()->SetTimer(
      loop_.loop()->Now() + kPruneInterval, [this] { Prune(); });
}

void CoordinatorServer::UpdateReady() {
  const absl::MutexLock lock(&ready_mutex_);
  const bool is_ready = !services_.draining.load() && router_.HasTarget();
  server_->health()->SetServingStatus(kHealthReady, is_ready);
}

void CoordinatorServer::Stop(std::chrono::milliseconds drain_timeout) {
  if (std::exchange(stopped_, true)) return;
  services_.draining.store(true);
  if (server_ != nullptr) {
    UpdateReady();
    loop_.loop()->Post([this] { sessions_.left_turns.Stop(); });
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
  background_.Stop();
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
