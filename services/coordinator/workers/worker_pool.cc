#include "services/coordinator/workers/worker_pool.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "engine/base/check.h"
#include "engine/base/error_reason.h"
#include "services/common/channel.h"
#include "services/common/connection_probe.h"
#include "services/common/status_conversion.h"
#include "services/common/worker_protocol.h"
#include "services/coordinator/workers/grpc_worker_link.h"

namespace tandem {
namespace {

// A worker answers Describe at once or is hung; connecting comes on top.
constexpr std::chrono::milliseconds kDescribeDeadline(5000 + kConnectTimeoutMs);
constexpr std::chrono::seconds kTokenizerDeadline(60);
// Models that targets had once; more are forgotten.
constexpr size_t kModelsSeenMax = 1024;

const char* RoleName(WorkerRole role) {
  return role == WorkerRole::kTarget ? "target" : "draft";
}

v1::WorkerRole ToProto(WorkerRole role) {
  return role == WorkerRole::kTarget ? v1::WORKER_ROLE_TARGET
                                     : v1::WORKER_ROLE_DRAFT;
}

// From half to one and a half times, so that coordinators do not come at the
// same moment.
MonotonicDuration Jittered(MonotonicDuration duration) {
  thread_local std::minstd_rand random{std::random_device()()};
  const double factor = std::uniform_real_distribution<>(0.5, 1.5)(random);
  return std::chrono::duration_cast<MonotonicDuration>(duration * factor);
}

// What to log of a worker that was lost with `status`.
std::string ReasonFor(const NamedAddress& address, const ChannelTlsFiles& files,
                      const absl::Status& status) {
  if (absl::IsUnavailable(status) && !GetErrorDetail(status)) {
    // Stop joins the thread that calls this, so the probe may neither wait long
    // nor for name servers that do not answer. A name that gRPC has resolved
    // just now is resolved fast.
    constexpr absl::Duration kReasonTimeout = absl::Seconds(1);
    const bool is_resolved =
        !absl::StrContains(status.message(), "DNS resolution failed");
    ConnectionFindings found = ProbeConnection(
        {.server = address,
         .files = files,
         .flags = kWorkerTlsFlags,
         .timeout = kReasonTimeout,
         .names = is_resolved ? NameLookup::kAllowed : NameLookup::kNever});
    if (!found.problem.empty()) return std::move(found.problem);
  }
  if (absl::IsUnimplemented(status)) {
    return "another program answers there: it is no tandem worker";
  }
  return std::string(status.message());
}

}  // namespace

// A management call under way: the end of its slot cancels it.
class WorkerPool::CallScope {
 public:
  CallScope(WorkerPool* pool, Slot* slot) : pool_(pool), slot_(slot) {
    absl::MutexLock lock(&pool_->mutex_);
    slot_->pulse->AddCall(&context_);
    if (pool_->stopping_ || slot_->ending) context_.TryCancel();
  }
  ~CallScope() { slot_->pulse->RemoveCall(&context_); }

  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;

  grpc::ClientContext* context() { return &context_; }
  void SetDeadline(std::chrono::milliseconds deadline) {
    context_.set_deadline(std::chrono::system_clock::now() + deadline);
  }

 private:
  WorkerPool* const pool_;
  Slot* const slot_;
  grpc::ClientContext context_;
};

int WorkerPool::Slot::own_streams() const {
  int streams = 0;
  for (const auto& [model_id, link] : links) {
    streams += link->tracker().own_streams();
  }
  return streams;
}

WorkerPool::WorkerPool(const WorkerPoolOptions& options,
                       std::shared_ptr<grpc::ChannelCredentials> credentials,
                       TokenizerCache* tokenizers)
    : options_(options),
      credentials_(std::move(credentials)),
      tokenizers_(tokenizers),
      resolver_(options.resolver == nullptr ? &system_resolver_
                                            : options.resolver) {
  absl::MutexLock lock(&mutex_);
  for (const WorkerRole role : {WorkerRole::kTarget, WorkerRole::kDraft}) {
    absl::StatusOr<AddressBook> book = AddressBook::Parse(
        role == WorkerRole::kTarget ? options_.targets : options_.drafts);
    TANDEM_CHECK(book.ok());  // the flags were checked
    Group group{.role = role, .book = *std::move(book), .slots = {}};
    for (const NamedAddress& address : group.book.Addresses()) {
      group.slots.push_back(MakeSlot(address, role));
    }
    groups_.push_back(std::move(group));
  }
  UpdateTable();
}

std::shared_ptr<WorkerPool::Slot> WorkerPool::MakeSlot(
    const NamedAddress& address, WorkerRole role) {
  auto slot = std::make_shared<Slot>();
  slot->address = address;
  slot->role = role;
  slot->channel = MakeChannel(address, credentials_);
  slot->pulse = std::make_shared<GrpcWorkerPulse>(slot->channel);
  slot->stub = v1::WorkerService::NewStub(slot->channel);
  WorkerInfo unknown;
  unknown.address = address.address;
  unknown.role = role;
  slot->models = {std::move(unknown)};
  return slot;
}

void WorkerPool::StartThread(const std::shared_ptr<Slot>& slot) {
  slot->thread = std::thread([this, slot = slot.get()] { Manage(slot); });
}

void WorkerPool::Start() {
  bool any_names = false;
  for (Group& group : groups_) {
    for (const std::shared_ptr<Slot>& slot : group.slots) StartThread(slot);
    any_names |= !group.book.names().empty();
  }
  if (any_names) resolving_ = std::thread([this] { Resolve(); });
  watching_ = std::thread([this] { WatchPulses(); });
}

void WorkerPool::Stop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    for (const Group& group : groups_) {
      for (const std::shared_ptr<Slot>& slot : group.slots) {
        slot->pulse->CancelCalls();
      }
    }
  }
  ended_.Notify();
  // First, so that no slot is added any more.
  if (resolving_.joinable()) resolving_.join();
  if (watching_.joinable()) watching_.join();
  for (const Group& group : groups_) {
    for (const std::shared_ptr<Slot>& slot : group.slots) {
      if (slot->thread.joinable()) slot->thread.join();
    }
  }
}

std::shared_ptr<const WorkerTable> WorkerPool::Workers() const {
  absl::MutexLock lock(&mutex_);
  return table_;
}

std::vector<WorkerCondition> WorkerPool::Conditions() const {
  std::vector<WorkerCondition> conditions;
  {
    const absl::MutexLock lock(&mutex_);
    for (const Group& group : groups_) {
      for (const std::shared_ptr<Slot>& slot : group.slots) {
        for (const WorkerInfo& model : slot->models) {
          conditions.push_back(ConditionOf(model, slot->problem));
          if (!slot->leaving) continue;
          conditions.back().state = WorkerState::kDraining;
          conditions.back().reason =
              "its address is in no list any more; it goes when its turns end";
        }
      }
    }
  }
  MarkUnfitDrafters(
      [this](const WorkerInfo& draft, const WorkerInfo& target) {
        return CheckPair(draft, target);
      },
      &conditions);
  return conditions;
}

int WorkerPool::own_streams() const {
  absl::MutexLock lock(&mutex_);
  int streams = 0;
  for (const Group& group : groups_) {
    for (const std::shared_ptr<Slot>& slot : group.slots) {
      streams += slot->own_streams();
    }
  }
  return streams;
}

int WorkerPool::leaving() const {
  absl::MutexLock lock(&mutex_);
  int leaving = 0;
  for (const Group& group : groups_) {
    for (const std::shared_ptr<Slot>& slot : group.slots) {
      leaving += slot->leaving ? 1 : 0;
    }
  }
  return leaving;
}

void WorkerPool::UpdateTable() {
  std::vector<WorkerInfo> workers;
  for (const Group& group : groups_) {
    for (const std::shared_ptr<Slot>& slot : group.slots) {
      for (const WorkerInfo& model : slot->models) {
        if (slot->role == WorkerRole::kTarget && !model.model_id.empty() &&
            models_seen_.size() < kModelsSeenMax) {
          models_seen_.insert(model.model_id);
        }
        if (!slot->leaving) workers.push_back(model);
      }
    }
  }
  table_ = std::make_shared<const WorkerTable>(
      std::move(workers), models_seen_,
      [this](const WorkerInfo& draft, const WorkerInfo& target) {
        return CheckPair(draft, target).ok();
      });
}

void WorkerPool::Changed() {
  {
    absl::MutexLock lock(&mutex_);
    UpdateTable();
  }
  if (on_change_) on_change_();
}

void WorkerPool::Resolve() {
  do {
    for (Group& group : groups_) {
      ResolveGroup(&group);
      Reconcile(&group);
      EndLeaving(&group);
    }
  } while (Wait(Jittered(options_.resolve_interval), nullptr));
}

void WorkerPool::ResolveGroup(Group* group) {
  for (size_t i = 0; i < group->book.names().size(); ++i) {
    const std::optional<std::string> message =
        group->book.OnResolved(i, resolver_->Resolve(group->book.names()[i]));
    if (message.has_value()) {
      spdlog::warn("{} workers: {}", RoleName(group->role), *message);
    }
  }
}

void WorkerPool::Reconcile(Group* group) {
  std::vector<std::shared_ptr<Slot>> added;
  bool changed = false;
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_) return;
    std::vector<NamedAddress> missing = group->book.Addresses();
    for (const std::shared_ptr<Slot>& slot : group->slots) {
      if (slot->ending) continue;
      const bool is_listed = std::erase(missing, slot->address) > 0;
      changed |= slot->leaving == is_listed;
      slot->leaving = !is_listed;
    }
    for (const NamedAddress& address : missing) {
      added.push_back(MakeSlot(address, group->role));
      group->slots.push_back(added.back());
    }
  }
  for (const std::shared_ptr<Slot>& slot : added) {
    spdlog::info("{} worker {} is new", RoleName(group->role),
                 slot->address.address);
    StartThread(slot);
  }
  if (changed || !added.empty()) Changed();
}

void WorkerPool::EndLeaving(Group* group) {
  std::vector<std::shared_ptr<Slot>> ended;
  {
    absl::MutexLock lock(&mutex_);
    for (const std::shared_ptr<Slot>& slot : group->slots) {
      if (!slot->leaving || slot->own_streams() > 0) continue;
      slot->ending = true;
      ended_.Notify();
      slot->pulse->CancelCalls();
    }
    std::erase_if(group->slots, [&ended](const std::shared_ptr<Slot>& slot) {
      if (slot->ended) ended.push_back(slot);
      return slot->ended;
    });
  }
  for (const std::shared_ptr<Slot>& slot : ended) {
    slot->thread.join();
    spdlog::info("{} worker {} has left", RoleName(group->role),
                 slot->address.address);
  }
}

bool WorkerPool::Wait(MonotonicDuration duration, const Slot* slot) {
  const auto is_over = [this, slot]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stopping_ || (slot != nullptr && slot->ending);
  };
  absl::MutexLock lock(&mutex_);
  return !ended_.Await(&mutex_, MonotonicNow() + absl::FromChrono(duration),
                       is_over);
}

void WorkerPool::WatchPulses() {
  MonotonicTime last = std::chrono::steady_clock::now();
  std::vector<std::shared_ptr<Slot>> slots;
  while (Wait(kPulseTick, nullptr)) {
    slots.clear();
    {
      const absl::MutexLock lock(&mutex_);
      for (const Group& group : groups_) {
        slots.insert(slots.end(), group.slots.begin(), group.slots.end());
      }
    }
    const MonotonicTime now = std::chrono::steady_clock::now();
    const MonotonicDuration elapsed = now - std::exchange(last, now);
    for (const std::shared_ptr<Slot>& slot : slots) {
      if (!slot->pulse->Look(elapsed)) continue;
      // First, so that its turns do not come back to it.
      MarkGone(slot.get());
      slot->pulse->CancelCalls();
    }
  }
}

void WorkerPool::Manage(Slot* slot) {
  MonotonicDuration backoff = options_.backoff_min;
  std::string last_error;
  WorkerProblem problem;
  do {
    // Our backoff rules, not the channel's.
    grpc::experimental::ChannelResetConnectionBackoff(slot->channel.get());
    const MonotonicTime began = std::chrono::steady_clock::now();
    const int64_t known = std::exchange(slot->models_generation, 0);
    if (known != 0) slot->lost_generation = known;
    absl::Status status = DescribeAndPublish(slot);
    if (status.ok()) status = Watch(slot);
    MarkGone(slot);
    if (slot->pulse->TakeHung()) {
      status = NoWorker("it hangs: it answers nothing while turns wait for it");
    }
    const bool served =
        std::chrono::steady_clock::now() - began > options_.backoff_max;
    backoff = served ? options_.backoff_min
                     : std::min(backoff * 2, options_.backoff_max);
    const std::string error = status.ToString();
    // Once for each state, not for each try.
    if (error != last_error && Wait(MonotonicDuration::zero(), slot)) {
      problem = ProblemAfter(
          status, ReasonFor(slot->address, options_.tls_files, status));
      spdlog::warn("{} worker {} is not usable: {}", RoleName(slot->role),
                   slot->address.address, problem.reason);
      last_error = error;
    }
    const absl::MutexLock lock(&mutex_);
    slot->problem = problem;
  } while (Wait(Jittered(backoff), slot));
  absl::MutexLock lock(&mutex_);
  slot->ended = true;
}

absl::Status WorkerPool::DescribeAndPublish(Slot* slot) {
  TANDEM_ASSIGN_OR_RETURN(std::vector<WorkerInfo> models, Describe(slot));
  CheckPairs(models);
  std::vector<WorkerInfo> known;
  {
    absl::MutexLock lock(&mutex_);
    const bool draining = slot->models[0].draining && slot->models[0].usable;
    for (WorkerInfo& model : models) model.draining = draining;
    known = std::exchange(slot->models, models);
    slot->problem = {.reason = "the connection was lost"};  // once it is
    // Links of models that are gone stay while anybody may open a stream there
    // or has one that counts.
    std::erase_if(slot->links, [&models](const auto& entry) {
      const auto has_link = [&entry](const WorkerInfo& model) {
        return model.link == entry.second;
      };
      return std::none_of(models.begin(), models.end(), has_link) &&
             entry.second.use_count() == 1 &&
             entry.second->tracker().own_streams() == 0;
    });
    UpdateTable();
  }
  for (const WorkerInfo& model : models) {
    const auto is_same = [&model](const WorkerInfo& it) {
      return it.usable && it.fingerprint == model.fingerprint;
    };
    if (std::any_of(known.begin(), known.end(), is_same)) continue;
    spdlog::info("{} worker {} is usable: model {} ({}, context {}, {})",
                 RoleName(slot->role), slot->address.address, model.model_id,
                 model.numerics, model.context_max, model.fingerprint);
  }
  if (on_change_) on_change_();
  return absl::OkStatus();
}

// At least one.
absl::StatusOr<std::vector<WorkerInfo>> WorkerPool::Describe(Slot* slot) {
  v1::DescribeResponse response;
  {
    CallScope call(this, slot);
    call.SetDeadline(kDescribeDeadline);
    const absl::Status status = FromGrpcStatus(
        slot->stub->Describe(call.context(), v1::DescribeRequest(), &response));
    // It loads its first models, so it is of use later.
    if (absl::IsFailedPrecondition(status)) return NoWorker(status.message());
    TANDEM_RETURN_IF_ERROR(status);
  }
  if (response.role() != ToProto(slot->role)) {
    return absl::FailedPreconditionError(
        absl::StrCat("it is listed as ", RoleName(slot->role),
                     " but does not have that role"));
  }
  std::vector<WorkerInfo> models;
  for (const v1::WorkerModel& model : response.models()) {
    if (models.size() == kWorkerModelsMax) break;
    TANDEM_ASSIGN_OR_RETURN(WorkerInfo info, DescribeModel(slot, model));
    models.push_back(std::move(info));
  }
  if (models.empty()) return absl::FailedPreconditionError("it has no model");
  return models;
}

absl::StatusOr<WorkerInfo> WorkerPool::DescribeModel(
    Slot* slot, const v1::WorkerModel& model) {
  if (!model.model_id().empty()) {
    TANDEM_RETURN_IF_ERROR(CheckModelId(model.model_id()));
  }
  WorkerInfo info{.address = slot->address.address,
                  .role = slot->role,
                  .usable = true,
                  .draining = false,
                  .model_id = model.model_id(),
                  .fingerprint = model.fingerprint(),
                  .vocabulary_fingerprint = model.vocabulary_fingerprint(),
                  .numerics = model.numerics(),
                  .context_max = model.context_max(),
                  .vocab_size = model.vocab_size()};
  const TokenizerSource source{
      .stub = slot->stub.get(),
      .address = info.address,
      .model_id = info.model_id,
      .fingerprint = info.fingerprint,
      .vocabulary_fingerprint = info.vocabulary_fingerprint};
  CallScope call(this, slot);
  call.SetDeadline(kTokenizerDeadline);
  auto tokenizer = slot->role == WorkerRole::kDraft
                       ? tokenizers_->FetchVocabulary(source, call.context())
                       : tokenizers_->Fetch(source, call.context());
  if (!tokenizer.ok()) return tokenizer.status();
  info.tokenizer = *std::move(tokenizer);
  info.reply_format = tokenizers_->FindReplyFormat(source);
  info.vocab_size = info.tokenizer->vocab_size();
  absl::MutexLock lock(&mutex_);
  std::shared_ptr<GrpcWorkerLink>& link = slot->links[info.model_id];
  if (link == nullptr) {
    link = std::make_shared<GrpcWorkerLink>(slot->channel, slot->pulse);
  }
  info.link = link;
  return info;
}

// Runs until the stream ends: the worker or the connection is gone.
absl::Status WorkerPool::Watch(Slot* slot) {
  CallScope call(this, slot);
  const auto reader = slot->stub->Watch(call.context(), v1::WatchRequest());
  v1::WatchResponse report;
  absl::Status error;
  while (error.ok() && reader->Read(&report)) {
    slot->pulse->OnHeard();
    error = TakeReport(slot, report);
  }
  if (!error.ok()) {
    call.context()->TryCancel();
    while (reader->Read(&report)) {
    }
    (void)reader->Finish();
    return error;
  }
  const absl::Status status = FromGrpcStatus(reader->Finish());
  if (!status.ok()) return status;
  return absl::UnavailableError("it ended the watch");
}

absl::Status WorkerPool::TakeReport(Slot* slot,
                                    const v1::WatchResponse& report) {
  const int64_t generation = report.models_generation();
  const int64_t described = std::exchange(slot->models_generation, generation);
  // The first report comes after Describe and may report a change in between.
  if (generation != described) {
    TANDEM_RETURN_IF_ERROR(DescribeAndPublish(slot));
  }
  const bool is_first = described == 0;
  if (is_first && generation == slot->lost_generation && on_alive_) {
    on_alive_(slot->address.address);
  }
  bool changed = false;
  double slowest_pass_us = 0;
  {
    absl::MutexLock lock(&mutex_);
    for (const ModelReport& model : ReadReport(report)) {
      if (!model.costs->passes.empty()) {
        slowest_pass_us =
            std::max(slowest_pass_us, model.costs->passes.costs().back().us);
      }
      const auto link = slot->links.find(model.model_id);
      if (link == slot->links.end()) continue;
      link->second->tracker().OnReport(model.load);
      link->second->SetCosts(model.costs);
    }
    for (WorkerInfo& model : slot->models) {
      changed |= model.draining != report.draining();
      model.draining = report.draining();
    }
  }
  slot->pulse->SetSlowestPass(slowest_pass_us);
  if (changed) Changed();
  return absl::OkStatus();
}

void WorkerPool::MarkGone(Slot* slot) {
  bool was_usable = false;
  {
    absl::MutexLock lock(&mutex_);
    for (WorkerInfo& model : slot->models) {
      was_usable |= model.usable;
      model.usable = false;
    }
    for (const auto& [model_id, link] : slot->links) link->tracker().Forget();
  }
  if (was_usable) Changed();
}

absl::Status WorkerPool::CheckPair(const WorkerInfo& draft,
                                   const WorkerInfo& target) const {
  if (draft.tokenizer == nullptr || target.tokenizer == nullptr) {
    return absl::UnavailableError("a vocabulary is not known yet");
  }
  return tokenizers_->CheckPair(*draft.tokenizer, *target.tokenizer);
}

void WorkerPool::CheckPairs(const std::vector<WorkerInfo>& models) {
  const std::shared_ptr<const WorkerTable> table = Workers();
  std::vector<const WorkerInfo*> targets;
  std::vector<const WorkerInfo*> drafts;
  const auto add = [&](const WorkerInfo& worker) {
    if (!worker.usable) return;
    (worker.role == WorkerRole::kTarget ? targets : drafts).push_back(&worker);
  };
  for (const WorkerInfo& worker : table->workers()) add(worker);
  for (const WorkerInfo& model : models) add(model);
  for (const WorkerInfo* draft : drafts) {
    const absl::Status status =
        CheckTargets(*draft, targets,
                     [this](const WorkerInfo& one, const WorkerInfo& other) {
                       return CheckPair(one, other);
                     });
    if (status.ok()) continue;
    const WorkerInfo& target = *targets.back();
    {
      absl::MutexLock lock(&mutex_);
      const auto [pair, is_new] = reported_.emplace(
          draft->vocabulary_fingerprint, target.vocabulary_fingerprint);
      if (!is_new) continue;
    }
    spdlog::error("draft worker {} is not used: {}", draft->address,
                  std::string(status.message()));
  }
}

}  // namespace tandem
