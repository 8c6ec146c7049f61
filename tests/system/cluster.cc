#include "tests/system/cluster.h"

#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

#include "engine/base/check.h"

namespace tandem::testing {
namespace {

constexpr auto kStartLimit = std::chrono::seconds(60);

std::string Binary(const std::string& name) {
  return std::string(TANDEM_BINARY_DIR) + "/bin/" + name;
}

// The path of a unix socket is at most 107 bytes long, so the folder is made
// under /tmp whatever TMPDIR says.
std::string MakeFolder() {
  char name[] = "/tmp/tandem-test-XXXXXX";
  TANDEM_CHECK(mkdtemp(name) != nullptr);
  return name;
}

}  // namespace

std::string TargetModelPath() {
  return std::string(TANDEM_SOURCE_DIR) +
         "/deploy/models/tales-target-q8_0.gguf";
}

std::string DraftModelPath() {
  return std::string(TANDEM_SOURCE_DIR) +
         "/deploy/models/tales-draft-q8_0.gguf";
}

Cluster::Cluster(const Options& options)
    : options_(options), folder_(MakeFolder()) {
  for (int i = 0; i < options_.targets; ++i) {
    targets_.push_back(StartWorker("target", i));
  }
  for (int i = 0; i < options_.drafts; ++i) {
    drafts_.push_back(StartWorker("draft", i));
  }
  StartCoordinator();
  channel_ = grpc::CreateChannel("unix:" + folder_ + "/coordinator",
                                 grpc::InsecureChannelCredentials());
  stub_ = v1::GenerationService::NewStub(channel_);
  TANDEM_CHECK(WaitForWorkers(options_.targets, options_.drafts));
}

Cluster::~Cluster() {
  coordinator_.reset();
  targets_.clear();
  drafts_.clear();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

std::string Cluster::WorkerSocket(const std::string& role, int index) const {
  return "unix:" + folder_ + "/" + role + std::to_string(index);
}

std::unique_ptr<Process> Cluster::StartWorker(const std::string& role,
                                              int index) {
  const std::string& own =
      role == "target" ? options_.target_model : options_.draft_model;
  const std::string demo =
      role == "target" ? TargetModelPath() : DraftModelPath();
  const std::string& model = own.empty() ? demo : own;
  std::vector<std::string> argv = {Binary("tandem-worker"),
                                   "--role",
                                   role,
                                   "--model",
                                   model,
                                   "--model-id",
                                   role == "target" ? "tales" : "tales-draft",
                                   "--listen",
                                   WorkerSocket(role, index),
                                   "--threads",
                                   "1"};
  argv.insert(argv.end(), options_.worker_flags.begin(),
              options_.worker_flags.end());
  return std::make_unique<Process>(Process::Options{
      .argv = argv,
      .log_path = folder_ + "/" + role + std::to_string(index) + ".log"});
}

void Cluster::StartCoordinator() {
  std::vector<std::string> argv = {Binary("tandem-coordinator"), "--listen",
                                   "unix:" + folder_ + "/coordinator"};
  for (int i = 0; i < options_.targets; ++i) {
    argv.insert(argv.end(), {"--target", WorkerSocket("target", i)});
  }
  for (int i = 0; i < options_.drafts; ++i) {
    argv.insert(argv.end(), {"--draft", WorkerSocket("draft", i)});
  }
  argv.insert(argv.end(), options_.coordinator_flags.begin(),
              options_.coordinator_flags.end());
  coordinator_ = std::make_unique<Process>(
      Process::Options{.argv = argv, .log_path = folder_ + "/coordinator.log"});
}

void Cluster::RestartTarget(int index) {
  targets_[index] = StartWorker("target", index);
}

void Cluster::RestartDraft(int index) {
  drafts_[index] = StartWorker("draft", index);
}

bool Cluster::WaitForWorkers(int targets, int drafts) {
  const auto end = std::chrono::steady_clock::now() + kStartLimit;
  while (std::chrono::steady_clock::now() < end) {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(std::chrono::system_clock::now() + kStartLimit);
    v1::ListModelsResponse models;
    const grpc::Status status = stub_->ListModels(&context, {}, &models);
    if (status.ok() && models.models_size() == 1 &&
        models.models(0).target_workers() == targets &&
        models.models(0).draft_workers() == drafts) {
      return true;
    }
    if (status.ok() && targets == 0 && models.models_size() == 0) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

std::unique_ptr<v1::WorkerService::Stub> Cluster::TargetStub(int index) const {
  return v1::WorkerService::NewStub(grpc::CreateChannel(
      WorkerSocket("target", index), grpc::InsecureChannelCredentials()));
}

std::unique_ptr<v1::WorkerService::Stub> Cluster::DraftStub(int index) const {
  return v1::WorkerService::NewStub(grpc::CreateChannel(
      WorkerSocket("draft", index), grpc::InsecureChannelCredentials()));
}

TurnResult Cluster::Generate(const v1::TurnRequest& turn) {
  TurnResult result;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::minutes(5));
  v1::GenerateRequest request;
  *request.mutable_turn() = turn;
  const auto reader = stub_->Generate(&context, request);
  v1::GenerateResponse response;
  while (reader->Read(&response)) AddEvent(response, &result);
  result.status = reader->Finish();
  return result;
}

}  // namespace tandem::testing
