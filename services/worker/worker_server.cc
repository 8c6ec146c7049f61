#include "services/worker/worker_server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server_builder.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/gguf/gguf_file.h"
#include "services/common/bound_address.h"
#include "services/common/channel.h"
#include "services/common/credentials.h"

namespace tandem {
namespace {

// Progress is logged at each tenth.
std::function<void(double)> LogProgress() {
  return [last = -1](double fraction) mutable {
    const int tenth = static_cast<int>(fraction * 10);
    if (tenth <= last) return;
    last = tenth;
    spdlog::info("loading the model: {}%", tenth * 10);
  };
}

}  // namespace

absl::StatusOr<std::unique_ptr<WorkerServer>> WorkerServer::Listen(
    const WorkerOptions& options) {
  std::unique_ptr<WorkerServer> server(new WorkerServer(options));
  TANDEM_RETURN_IF_ERROR(server->Start());
  return server;
}

absl::Status WorkerServer::Start() {
  TANDEM_RETURN_IF_ERROR(CheckServerFlags(options_.server));
  TANDEM_ASSIGN_OR_RETURN(
      const std::shared_ptr<grpc::ServerCredentials> credentials,
      MakeServerCredentials(options_.server.tls));
  if (options_.server.reflection) {
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  }
  grpc::ServerBuilder builder;
  ConfigureServer(&builder);
  int port = 0;
  builder.AddListeningPort(options_.server.listen, credentials, &port);
  builder.RegisterService(&service_);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) {
    return absl::InvalidArgumentError(
        absl::StrCat("--listen ", options_.server.listen,
                     ": can not be bound; is it in use?"));
  }
  {
    absl::MutexLock lock(&mutex_);
    server_->GetHealthCheckService()->SetServingStatus(kHealthStarted, false);
    UpdateReady();
  }
  monitor_ = std::thread([this] { MonitorStalls(); });
  address_ = BoundAddress(options_.server.listen, port);
  spdlog::info("listening at {}", address_);
  if (options_.server.address_file.empty()) return absl::OkStatus();
  return WriteAddressFile(options_.server.address_file, address_);
}

WorkerServer::~WorkerServer() {
  if (server_ == nullptr) return;
  service_.StartDraining();
  service_.EndWatches();
  server_->Shutdown(std::chrono::system_clock::now());
  service_.WaitForStreams(absl::InfiniteDuration());
  if (!monitor_.joinable()) return;
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  monitor_.join();
}

absl::Status WorkerServer::Load() {
  const absl::Time began = absl::Now();
  WorkerModelParts parts;
  if (!options_.compute_turn.empty()) {
    TANDEM_ASSIGN_OR_RETURN(parts.turn,
                            ComputeTurn::Open(options_.compute_turn));
  }
  TANDEM_ASSIGN_OR_RETURN(std::unique_ptr<GgufFile> file,
                          GgufFile::Open(options_.model_path));
  ModelOptions model_options = options_.model;
  model_options.progress = LogProgress();
  TANDEM_ASSIGN_OR_RETURN(const std::shared_ptr<const Model> model,
                          Model::Load(std::move(file), model_options));
  TANDEM_ASSIGN_OR_RETURN(parts.engine, Engine::Load(model, options_.engine));

  parts.streams_max = options_.engine.sequences_max;
  parts.queue_max = options_.queue_max;
  const EngineInfo& engine = parts.engine->info();
  parts.info.role = options_.role;
  parts.info.model_id =
      options_.model_id.empty()
          ? std::filesystem::path(options_.model_path).stem().string()
          : options_.model_id;
  parts.info.fingerprint = engine.fingerprint;
  parts.info.vocabulary_fingerprint =
      model->tokenizer().vocabulary_fingerprint();
  parts.info.numerics = std::string(NumericsModeName(model->numerics()));
  parts.info.context_max = engine.context_max;
  parts.info.vocab_size = engine.vocab_size;
  parts.info.tokenizer_image = model->tokenizer_image();
  spdlog::info(
      "model {} is loaded in {} ms: {}, {} KiB of weights, context {}, "
      "fingerprint {}",
      parts.info.model_id, absl::ToInt64Milliseconds(absl::Now() - began),
      parts.info.numerics, model->weight_bytes() >> 10, parts.info.context_max,
      parts.info.fingerprint);
  Serve(std::move(parts));
  return absl::OkStatus();
}

void WorkerServer::Serve(WorkerModelParts parts) {
  service_.SetModel(std::move(parts));
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
    const bool stalled = service_.IsStalled(kStallLimit);
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
  server_->GetHealthCheckService()->SetServingStatus(
      kHealthReady, loaded_ && !draining_ && !stalled_);
}

}  // namespace tandem
