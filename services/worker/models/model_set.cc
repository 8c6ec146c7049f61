#include "services/worker/models/model_set.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/error_reason.h"

namespace tandem {
namespace {

absl::Status InUse(absl::string_view id, absl::string_view why) {
  return WrongState(absl::StrCat("the model \"", id, "\" ", why));
}

}  // namespace

ModelSet::ModelSet(std::function<void()> on_changed,
                   std::function<void(const StepReport&)> on_step)
    : on_changed_(std::move(on_changed)), on_step_(std::move(on_step)) {}

ModelSet::~ModelSet() {
  absl::MutexLock lock(&mutex_);
  for (const std::unique_ptr<Entry>& entry : entries_) {
    TANDEM_CHECK(entry->users == 0);
  }
}

absl::Status ModelSet::Add(WorkerModelParts parts) {
  ComputeLoopOptions options;
  options.streams_max = parts.streams_max;
  options.queue_max = parts.queue_max;
  parts.info.takes_turns = parts.turn != nullptr;
  options.turn = std::move(parts.turn);
  options.step_turn = &turn_;
  options.on_load_changed = on_changed_;
  options.on_step = on_step_;
  auto entry = std::make_unique<Entry>();
  entry->model.info = std::move(parts.info);
  entry->model.tokenizer_image = std::move(parts.tokenizer_image);
  entry->model.loop = std::make_unique<ComputeLoop>(std::move(parts.engine),
                                                    std::move(options));
  {
    absl::MutexLock lock(&mutex_);
    const std::string& id = entry->model.info.model_id;
    if (Find(id) == entries_.end()) {
      entry->last_use = ++uses_;
      entries_.push_back(std::move(entry));
      ++generation_;
    }
  }
  // One that had no place is destroyed here, without the lock.
  if (entry != nullptr) {
    return absl::AlreadyExistsError(absl::StrCat(
        "the model \"", entry->model.info.model_id, "\" is loaded already"));
  }
  on_changed_();
  return absl::OkStatus();
}

bool ModelSet::Has(absl::string_view id) const {
  absl::MutexLock lock(&mutex_);
  return Find(id) != entries_.end();
}

absl::StatusOr<const ServedModel*> ModelSet::Use(absl::string_view id) {
  absl::MutexLock lock(&mutex_);
  if (id.empty() && entries_.size() > 1) {
    return InvalidArgument(kReasonUnknownModel,
                           absl::StrCat("this worker has ", entries_.size(),
                                        " models; model_id must name one"));
  }
  const auto found = id.empty() ? entries_.begin() : Find(id);
  if (found == entries_.end()) {
    return UnknownModel(absl::StrCat("this worker has no model \"", id, "\""));
  }
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
    return;
  }
  TANDEM_CHECK(false);  // a model in use stays
}

absl::Status ModelSet::Remove(absl::string_view id, absl::Duration drain) {
  std::unique_ptr<Entry> removed;  // destroyed without the lock
  {
    absl::MutexLock lock(&mutex_);
    const auto found = Find(id);
    if (found == entries_.end()) {
      return UnknownModel(
          absl::StrCat("this worker has no model \"", id, "\""));
    }
    Entry* entry = found->get();
    if (entry->leaving) return InUse(id, "is being unloaded already");
    entry->leaving = true;
    const auto is_free = [entry] { return entry->users == 0; };
    if (!mutex_.AwaitWithTimeout(absl::Condition(&is_free), drain)) {
      entry->leaving = false;
      return InUse(id, absl::StrCat("is used by ", entry->users,
                                    " streams; it is served on"));
    }
    removed = TakeOut(id);
  }
  on_changed_();
  return absl::OkStatus();
}

std::optional<std::string> ModelSet::RemoveIdle() {
  std::unique_ptr<Entry> removed;  // destroyed without the lock
  {
    absl::MutexLock lock(&mutex_);
    const Entry* idle = nullptr;
    for (const std::unique_ptr<Entry>& entry : entries_) {
      if (entry->users > 0 || entry->leaving) continue;
      if (idle == nullptr || entry->last_use < idle->last_use) {
        idle = entry.get();
      }
    }
    if (idle == nullptr) return std::nullopt;
    removed = TakeOut(idle->model.info.model_id);
  }
  on_changed_();
  return removed->model.info.model_id;
}

std::vector<ServedModelState> ModelSet::States() const {
  absl::MutexLock lock(&mutex_);
  std::vector<ServedModelState> states;
  for (const std::unique_ptr<Entry>& entry : entries_) {
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
                       return entry->model.loop->IsStalled(limit);
                     });
}

ModelSet::Entries::const_iterator ModelSet::Find(absl::string_view id) const {
  return std::find_if(entries_.begin(), entries_.end(),
                      [id](const std::unique_ptr<Entry>& entry) {
                        return entry->model.info.model_id == id;
                      });
}

std::unique_ptr<ModelSet::Entry> ModelSet::TakeOut(absl::string_view id) {
  const size_t place = static_cast<size_t>(Find(id) - entries_.begin());
  std::unique_ptr<Entry> taken = std::move(entries_[place]);
  entries_.erase(entries_.begin() + static_cast<ptrdiff_t>(place));
  ++generation_;
  return taken;
}

}  // namespace tandem
