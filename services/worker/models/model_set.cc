#include "services/worker/models/model_set.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/error_reason.h"
#include "services/common/worker_protocol.h"

namespace tandem {
namespace {

absl::Status InUse(absl::string_view id, absl::string_view why) {
  return WrongState(absl::StrCat("the model \"", id, "\" ", why));
}

absl::Status IsLoaded(absl::string_view id) {
  return absl::AlreadyExistsError(
      absl::StrCat("the model \"", id, "\" is loaded already"));
}

absl::Status NoModel(absl::string_view id) {
  return UnknownModel(absl::StrCat("this worker has no model \"", id, "\""));
}

}  // namespace

void FillProto(const WorkerModelInfo& info, v1::WorkerModel* model) {
  model->set_model_id(info.model_id);
  model->set_fingerprint(info.fingerprint);
  model->set_vocabulary_fingerprint(info.vocabulary_fingerprint);
  model->set_numerics(info.numerics);
  model->set_context_max(info.context_max);
  model->set_vocab_size(info.vocab_size);
}

ModelSet::ModelSet(std::function<void()> on_changed,
                   std::function<void(const StepReport&)> on_step,
                   const ModelBounds& bounds)
    : on_changed_(std::move(on_changed)),
      on_step_(std::move(on_step)),
      bounds_(bounds),
      memory_(bounds.memory),
      generation_(uint64_t{std::random_device()()} << 16) {
  TANDEM_CHECK(bounds_.weight_bytes_max >= 0);
  if (const std::string problem = memory_.problem(); !problem.empty()) {
    spdlog::warn("{}; the memory of other workers is not known", problem);
  }
}

ModelSet::~ModelSet() {
  absl::MutexLock lock(&mutex_);
  for (const std::unique_ptr<Entry>& entry : entries_) {
    TANDEM_CHECK(entry->users == 0);
  }
}

absl::StatusOr<MemoryPlan> ModelSet::TakeMemory(
    absl::Span<const ModelNeeds> needs) {
  while (true) {
    absl::StatusOr<MemoryPlan> plan = memory_.Take(needs);
    const bool may_fit = absl::IsResourceExhausted(plan.status()) &&
                         bounds_.weight_bytes_max > 0;
    if (!may_fit || !EvictIdle()) return plan;
  }
}

absl::Status ModelSet::BeginLoad(const std::string& id) {
  TANDEM_RETURN_IF_ERROR(CheckModelId(id));
  absl::MutexLock lock(&mutex_);
  if (!loading_.empty()) {
    return WrongState("another model is being loaded; try again later");
  }
  if (const auto found = Find(id); found != entries_.end()) {
    return (*found)->leaving ? InUse(id, "is being unloaded; try again later")
                             : IsLoaded(id);
  }
  loading_ = id;
  return absl::OkStatus();
}

absl::Status ModelSet::ReserveWeights(int64_t bytes) {
  const int64_t most = bounds_.weight_bytes_max;
  while (true) {
    int64_t staying = 0;  // bytes of the models that can not go
    {
      absl::MutexLock lock(&mutex_);
      loading_bytes_ = 0;
      if (most == 0 || WeightBytes() + bytes <= most) {
        loading_bytes_ = bytes;
        return absl::OkStatus();
      }
      for (const std::unique_ptr<Entry>& entry : entries_) {
        if (!entry->IsIdle()) staying += entry->model.info.weight_bytes;
      }
    }
    // Idle models go only where that suffices.
    if (staying + bytes <= most && EvictIdle()) continue;
    return Exhausted(absl::StrCat(
        "the model needs ", bytes, " bytes; ", staying, " of at most ", most,
        " are taken by models that can not go; try later"));
  }
}

absl::Status ModelSet::EndLoad(absl::StatusOr<WorkerModelParts> parts) {
  const absl::Status status =
      parts.ok() ? Add(*std::move(parts)) : parts.status();
  std::string id;
  {
    absl::MutexLock lock(&mutex_);
    id.swap(loading_);
    loading_bytes_ = 0;
  }
  if (!status.ok()) memory_.Release(id);
  return status;
}

bool ModelSet::is_loading() const {
  absl::MutexLock lock(&mutex_);
  return !loading_.empty();
}

absl::Status ModelSet::Add(WorkerModelParts parts) {
  parts.info.takes_turns = parts.loop.processor != nullptr;
  parts.loop.loop_order = &loop_order_;
  parts.loop.on_load_changed = on_changed_;
  if (on_step_) parts.loop.on_step = on_step_;
  auto entry = std::make_unique<Entry>();
  entry->model.info = std::move(parts.info);
  entry->model.tokenizer_image = std::move(parts.tokenizer_image);
  entry->model.loop = std::make_unique<ComputeLoop>(std::move(parts.engine),
                                                    std::move(parts.loop));
  {
    absl::MutexLock lock(&mutex_);
    const std::string& id = entry->model.info.model_id;
    if (Find(id) == entries_.end()) {
      // It counts with its entry now.
      if (id == loading_) loading_bytes_ = 0;
      entry->last_use = ++uses_;
      entries_.push_back(std::move(entry));
      ++generation_;
    }
  }
  // One that had no place is destroyed here, without the lock.
  if (entry != nullptr) return IsLoaded(entry->model.info.model_id);
  on_changed_();
  return absl::OkStatus();
}

absl::StatusOr<const ServedModel*> ModelSet::Use(absl::string_view id) {
  absl::MutexLock lock(&mutex_);
  if (id.empty() && entries_.size() > 1) {
    return InvalidArgument(kReasonUnknownModel,
                           absl::StrCat("this worker has ", entries_.size(),
                                        " models; model_id must name one"));
  }
  const auto found = id.empty() ? entries_.begin() : Find(id);
  if (found == entries_.end()) return NoModel(id);
  Entry* entry = found->get();
  if (entry->leaving) {
    return Draining("the model is being unloaded; try another worker");
  }
  ++entry->users;
  entry->last_use = ++uses_;
  return &entry->model;
}

void ModelSet::Release(const ServedModel* model) {
  absl::MutexLock lock(&mutex_);
  for (const std::unique_ptr<Entry>& entry : entries_) {
    if (&entry->model != model) continue;
    TANDEM_CHECK(entry->users > 0);
    --entry->users;
    released_.Notify();
    return;
  }
  TANDEM_CHECK(false);  // a model in use stays
}

absl::Status ModelSet::Remove(absl::string_view id, absl::Duration drain) {
  Entry* entry = nullptr;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = Find(id);
    if (found == entries_.end()) return NoModel(id);
    entry = found->get();
    if (entry->leaving) return InUse(id, "is being unloaded already");
    SetLeaving(entry, true);
  }
  on_changed_();
  int users = 0;
  {
    absl::MutexLock lock(&mutex_);
    const auto is_free = [entry] { return entry->users == 0; };
    if (!released_.Await(&mutex_, MonotonicNow() + drain, is_free)) {
      SetLeaving(entry, false);
      users = entry->users;
    }
  }
  if (users > 0) {
    on_changed_();
    return InUse(
        id, absl::StrCat("is used by ", users, " streams; it is served on"));
  }
  Destroy(entry);
  spdlog::info("model {} was unloaded", std::string(id));
  return absl::OkStatus();
}

bool ModelSet::EvictIdle() {
  Entry* idle = nullptr;
  {
    absl::MutexLock lock(&mutex_);
    for (const std::unique_ptr<Entry>& entry : entries_) {
      if (!entry->IsIdle()) continue;
      if (idle == nullptr || entry->last_use < idle->last_use) {
        idle = entry.get();
      }
    }
    if (idle == nullptr) return false;
    SetLeaving(idle, true);
  }
  spdlog::info("model {} is unloaded: its memory is needed",
               idle->model.info.model_id);
  Destroy(idle);
  return true;
}

void ModelSet::SetLeaving(Entry* entry, bool leaving) {
  entry->leaving = leaving;
  ++generation_;
}

void ModelSet::Destroy(Entry* entry) {
  std::unique_ptr<ComputeLoop> loop;
  {
    absl::MutexLock lock(&mutex_);
    loop = std::move(entry->model.loop);
  }
  loop.reset();
  memory_.Release(entry->model.info.model_id);
  {
    absl::MutexLock lock(&mutex_);
    entries_.erase(Find(entry->model.info.model_id));
    ++generation_;
  }
  on_changed_();
}

std::vector<ServedModelState> ModelSet::States() const {
  absl::MutexLock lock(&mutex_);
  std::vector<ServedModelState> states;
  for (const std::unique_ptr<Entry>& entry : entries_) {
    if (entry->model.loop == nullptr) continue;
    states.push_back({.info = entry->model.info,
                      .load = entry->model.loop->load(),
                      .users = entry->users,
                      .leaving = entry->leaving});
  }
  return states;
}

uint64_t ModelSet::generation() const {
  absl::MutexLock lock(&mutex_);
  return generation_;
}

bool ModelSet::IsStalled(absl::Duration limit) const {
  absl::MutexLock lock(&mutex_);
  return std::any_of(entries_.begin(), entries_.end(),
                     [limit](const std::unique_ptr<Entry>& entry) {
                       return entry->model.loop != nullptr &&
                              entry->model.loop->IsStalled(limit);
                     });
}

int64_t ModelSet::weight_bytes() const {
  absl::MutexLock lock(&mutex_);
  return WeightBytes();
}

int64_t ModelSet::WeightBytes() const {
  int64_t bytes = loading_bytes_;
  for (const std::unique_ptr<Entry>& entry : entries_) {
    bytes += entry->model.info.weight_bytes;
  }
  return bytes;
}

ModelSet::Entries::const_iterator ModelSet::Find(absl::string_view id) const {
  return std::find_if(entries_.begin(), entries_.end(),
                      [id](const std::unique_ptr<Entry>& entry) {
                        return entry->model.info.model_id == id;
                      });
}

}  // namespace tandem
