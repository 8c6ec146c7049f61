#include "services/coordinator/worker_pool.h"

#include <grpcpp/create_channel.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/error_reason.h"
#include "services/common/channel.h"
#include "services/common/status_conversion.h"
#include "services/coordinator/grpc_worker_link.h"

namespace tandem {
namespace {

// A worker answers Describe at once or is hung.
constexpr std::chrono::seconds kDescribeDeadline(5);
constexpr std::chrono::seconds kTokenizerDeadline(60);
// In one pass; more than any worker has.
constexpr double kSequencesMax = 1 << 16;

const char* RoleName(WorkerRole role) {
  return role == WorkerRole::kTarget ? "target" : "draft";
}

v1::WorkerRole ToProto(WorkerRole role) {
  return role == WorkerRole::kTarget ? v1::WORKER_ROLE_TARGET
                                     : v1::WORKER_ROLE_DRAFT;
}

// A worker says what it likes: rows that do not ascend and times below zero are
// left out.
std::shared_ptr<const WorkerCosts> ReadCosts(const v1::WatchResponse& load) {
  std::vector<StepCost> costs;
  for (const v1::StepCost& cost : load.step_costs()) {
    const int rows_before = costs.empty() ? 0 : costs.back().rows;
    if (cost.rows() <= rows_before || cost.step_us() < 0) continue;
    costs.push_back(
        {.rows = cost.rows(), .us = static_cast<double>(cost.step_us())});
  }
  // Written so that a NaN is 1 too.
  const double sequences =
      load.sequences_per_step() >= 1
          ? std::min(load.sequences_per_step(), kSequencesMax)
          : 1;
  return std::make_shared<const WorkerCosts>(
      WorkerCosts{.passes = CostCurve(costs),
                  .sequences = sequences,
                  .takes_turns = load.takes_turns()});
}

// From half to one and a half times, so that coordinators do not come at the
// same moment.
MonotonicDuration Jittered(MonotonicDuration duration) {
  thread_local std::minstd_rand random{std::random_device()()};
  const double factor = std::uniform_real_distribution<>(0.5, 1.5)(random);
  return std::chrono::duration_cast<MonotonicDuration>(duration * factor);
}

}  // namespace

// A management call under way: Stop cancels it.
class WorkerPool::CallScope {
 public:
  CallScope(WorkerPool* pool, Slot* slot) : pool_(pool), slot_(slot) {
    const std::lock_guard<std::mutex> lock(pool_->mutex_);
    slot_->context = &context_;
    if (pool_->stopping_) context_.TryCancel();
  }
  ~CallScope() {
    const std::lock_guard<std::mutex> lock(pool_->mutex_);
    slot_->context = nullptr;
  }

  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;

  grpc::ClientContext* context() { return &context_; }
  void SetDeadline(std::chrono::seconds deadline) {
    context_.set_deadline(std::chrono::system_clock::now() + deadline);
  }

 private:
  WorkerPool* const pool_;
  Slot* const slot_;
  grpc::ClientContext context_;
};

WorkerPool::WorkerPool(const WorkerPoolOptions& options,
                       std::shared_ptr<grpc::ChannelCredentials> credentials,
                       TokenizerCache* tokenizers)
    : options_(options),
      credentials_(std::move(credentials)),
      tokenizers_(tokenizers) {
  const auto add = [this](const std::vector<std::string>& addresses,
                          WorkerRole role) {
    TANDEM_CHECK(addresses.size() <= kWorkersMax);
    for (const std::string& address : addresses) {
      auto slot = std::make_unique<Slot>();
      slot->address = address;
      slot->role = role;
      slot->channel = MakeChannel(address, credentials_);
      slot->stub = v1::WorkerService::NewStub(slot->channel);
      slot->link = std::make_shared<GrpcWorkerLink>(slot->channel);
      slot->info.address = address;
      slot->info.role = role;
      slots_.push_back(std::move(slot));
    }
  };
  add(options_.targets, WorkerRole::kTarget);
  add(options_.drafts, WorkerRole::kDraft);
}

void WorkerPool::Start() {
  for (const std::unique_ptr<Slot>& slot : slots_) {
    slot->thread = std::thread([this, slot = slot.get()] { Manage(slot); });
  }
}

void WorkerPool::Stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    for (const std::unique_ptr<Slot>& slot : slots_) {
      if (slot->context != nullptr) slot->context->TryCancel();
    }
  }
  stop_wake_.notify_all();
  for (const std::unique_ptr<Slot>& slot : slots_) {
    if (slot->thread.joinable()) slot->thread.join();
  }
}

std::vector<WorkerInfo> WorkerPool::Workers() const {
  std::vector<WorkerInfo> workers;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const std::unique_ptr<Slot>& slot : slots_) {
    workers.push_back(slot->info);
    workers.back().link = slot->link;
    workers.back().own_streams = slot->link->streams();
  }
  return workers;
}

bool WorkerPool::Stopping() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return stopping_;
}

bool WorkerPool::Wait(MonotonicDuration duration) {
  std::unique_lock<std::mutex> lock(mutex_);
  return !stop_wake_.wait_for(lock, duration, [this] { return stopping_; });
}

void WorkerPool::Manage(Slot* slot) {
  MonotonicDuration backoff = options_.backoff_min;
  std::string last_error;
  do {
    // Our backoff rules, not the channel's.
    grpc::experimental::ChannelResetConnectionBackoff(slot->channel.get());
    const MonotonicTime began = std::chrono::steady_clock::now();
    const absl::Status status = Serve(slot);
    MarkGone(slot);
    const bool served =
        std::chrono::steady_clock::now() - began > options_.backoff_max;
    backoff = served ? options_.backoff_min
                     : std::min(backoff * 2, options_.backoff_max);
    const std::string error = status.ToString();
    // Once for each state, not for each try.
    if (error != last_error && !Stopping()) {
      spdlog::warn("{} worker {} is not usable: {}", RoleName(slot->role),
                   slot->address, std::string(status.message()));
      last_error = error;
    }
  } while (Wait(Jittered(backoff)));
}

absl::Status WorkerPool::Serve(Slot* slot) {
  TANDEM_ASSIGN_OR_RETURN(const WorkerInfo info, Describe(slot));
  Publish(slot, info);
  return Watch(slot);
}

absl::StatusOr<WorkerInfo> WorkerPool::Describe(Slot* slot) {
  v1::DescribeResponse response;
  {
    CallScope call(this, slot);
    call.SetDeadline(kDescribeDeadline);
    TANDEM_RETURN_IF_ERROR(FromGrpcStatus(slot->stub->Describe(
        call.context(), v1::DescribeRequest(), &response)));
  }
  if (response.role() != ToProto(slot->role)) {
    return absl::FailedPreconditionError(
        absl::StrCat("it is listed as ", RoleName(slot->role),
                     " but does not have that role"));
  }
  if (response.models_size() != 1) {
    return absl::FailedPreconditionError(
        absl::StrCat("it has ", response.models_size(), " models, not one"));
  }
  const v1::WorkerModel& model = response.models(0);
  WorkerInfo info{.address = slot->address,
                  .role = slot->role,
                  .usable = true,
                  .draining = false,
                  .model_id = model.model_id(),
                  .fingerprint = model.fingerprint(),
                  .vocabulary_fingerprint = model.vocabulary_fingerprint(),
                  .numerics = model.numerics(),
                  .context_max = model.context_max(),
                  .vocab_size = model.vocab_size(),
                  .tokenizer = nullptr,
                  .streams_open = 0,
                  .requests_pending = 0,
                  .link = nullptr,
                  .own_streams = 0};
  // A drafter needs no tokenizer of its own: its vocabulary must be a target's.
  if (slot->role == WorkerRole::kTarget) {
    CallScope call(this, slot);
    call.SetDeadline(kTokenizerDeadline);
    TANDEM_ASSIGN_OR_RETURN(
        info.tokenizer, tokenizers_->Fetch({.stub = slot->stub.get(),
                                            .address = slot->address,
                                            .model_id = info.model_id,
                                            .fingerprint = info.fingerprint,
                                            .vocabulary_fingerprint =
                                                info.vocabulary_fingerprint},
                                           call.context()));
  }
  return info;
}

// Runs until the stream ends: the worker or the connection is gone.
absl::Status WorkerPool::Watch(Slot* slot) {
  CallScope call(this, slot);
  const auto reader = slot->stub->Watch(call.context(), v1::WatchRequest());
  v1::WatchResponse load;
  bool first = true;
  while (reader->Read(&load)) {
    WorkerInfo info;
    bool changed = first;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      info = slot->info;
    }
    changed |= info.draining != load.draining();
    info.draining = load.draining();
    info.streams_open = load.streams_open();
    info.requests_pending = load.requests_pending();
    slot->link->SetCosts(ReadCosts(load));
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      slot->info = info;
    }
    if (changed && on_change_) on_change_();
    first = false;
  }
  const absl::Status status = FromGrpcStatus(reader->Finish());
  if (!status.ok()) return status;
  return absl::UnavailableError("it ended the watch");
}

void WorkerPool::Publish(Slot* slot, const WorkerInfo& info) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    slot->info = info;
  }
  spdlog::info("{} worker {} is usable: model {} ({}, context {}, {})",
               RoleName(slot->role), slot->address, info.model_id,
               info.numerics, info.context_max, info.fingerprint);
  ReportMismatches(slot);
  if (on_change_) on_change_();
}

void WorkerPool::MarkGone(Slot* slot) {
  bool was_usable = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    was_usable = slot->info.usable;
    slot->info.usable = false;
  }
  if (was_usable && on_change_) on_change_();
}

// Logs each draft worker whose vocabulary is no target's; the router does not
// use it.
void WorkerPool::ReportMismatches(Slot* slot) {
  std::vector<Slot*> drafts;
  WorkerInfo target;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::set<std::string> vocabularies;
    for (const std::unique_ptr<Slot>& it : slots_) {
      if (it->role != WorkerRole::kTarget || !it->info.usable) continue;
      vocabularies.insert(it->info.vocabulary_fingerprint);
      target = it->info;
    }
    if (vocabularies.empty()) return;
    for (const std::unique_ptr<Slot>& it : slots_) {
      const std::string& own = it->info.vocabulary_fingerprint;
      if (it->role == WorkerRole::kDraft && it->info.usable &&
          !vocabularies.contains(own) &&
          reported_.emplace(own, target.vocabulary_fingerprint).second) {
        drafts.push_back(it.get());
      }
    }
  }
  for (Slot* draft : drafts) ReportMismatch(slot, draft, target);
}

void WorkerPool::ReportMismatch(Slot* slot, Slot* draft,
                                const WorkerInfo& target) {
  TokenizerSource source{.stub = draft->stub.get(),
                         .address = draft->address,
                         .model_id = "",
                         .fingerprint = "",
                         .vocabulary_fingerprint = ""};
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    source.model_id = draft->info.model_id;
    source.fingerprint = draft->info.fingerprint;
    source.vocabulary_fingerprint = draft->info.vocabulary_fingerprint;
  }
  CallScope call(this, slot);
  call.SetDeadline(kTokenizerDeadline);
  const auto tokenizer = tokenizers_->Fetch(source, call.context());
  const absl::Status status =
      tokenizer.ok() ? CheckSameVocabulary(**tokenizer, *target.tokenizer)
                     : tokenizer.status();
  spdlog::error(
      "draft worker {} is not used: its vocabulary is not that of target "
      "worker {} (model {}): {}",
      draft->address, target.address, target.model_id,
      std::string(status.message()));
}

}  // namespace tandem
