#include "services/coordinator/client/background_queue.h"

#include <iterator>
#include <utility>

#include "services/coordinator/turn/event_loop.h"

namespace tandem {

BackgroundTask BackgroundQueue::Line::Pop() {
  auto tenant = tenants.upper_bound(last);
  if (tenant == tenants.end()) tenant = tenants.begin();
  last = tenant->first;
  auto& tasks = tenant->second;
  BackgroundTask task = std::move(tasks.begin()->second);
  tasks.erase(tasks.begin());
  if (tasks.empty()) tenants.erase(tenant);
  return task;
}

void BackgroundQueue::Line::TakeOver(std::vector<BackgroundTask>* over) {
  for (auto tenant = tenants.begin(); tenant != tenants.end();) {
    auto& tasks = tenant->second;
    for (auto task = tasks.begin(); task != tasks.end();) {
      if (!task->second.is_over()) {
        ++task;
        continue;
      }
      over->push_back(std::move(task->second));
      task = tasks.erase(task);
    }
    tenant = tasks.empty() ? tenants.erase(tenant) : std::next(tenant);
  }
}

BackgroundQueue::BackgroundQueue(int64_t tasks_max, MemoryBudget* budget)
    : budget_(budget),
      places_(tasks_max),
      short_thread_([this] { Work(Takes::kShort); }),
      all_thread_([this] { Work(Takes::kAll); }) {}

void BackgroundQueue::Stop() {
  {
    const absl::MutexLock lock(&mutex_);
    if (std::exchange(stop_, true)) return;
  }
  short_thread_.join();
  all_thread_.join();
}

absl::Status BackgroundQueue::Run(BackgroundTask task) {
  std::vector<BackgroundTask> over;
  bool is_taken = false;
  {
    const absl::MutexLock lock(&mutex_);
    if (stop_) return Draining("the server is shutting down; try another");
    is_taken = Reserve(task);
    if (!is_taken) {
      over = TakeOver();
      is_taken = !over.empty() && Reserve(task);
    }
    if (is_taken) {
      Line& line = task.bytes <= kShortBytes ? short_ : long_;
      line.tenants[task.tenant].emplace(task.bytes, std::move(task));
    }
  }
  for (BackgroundTask& gone : over) gone.drop();
  if (is_taken) return absl::OkStatus();
  return Exhausted("too many texts wait to be made tokens; try later");
}

bool BackgroundQueue::Reserve(const BackgroundTask& task) {
  if (!places_.Take(task.tenant, 1, Clock::System()->Now())) return false;
  if (budget_->Take(MemoryKind::kTexts, task.tenant, task.bytes)) return true;
  places_.Add(task.tenant, -1);
  return false;
}

std::vector<BackgroundTask> BackgroundQueue::TakeOver() {
  std::vector<BackgroundTask> over;
  short_.TakeOver(&over);
  long_.TakeOver(&over);
  for (const BackgroundTask& task : over) {
    places_.Add(task.tenant, -1);
    budget_->Add(MemoryKind::kTexts, task.tenant, -task.bytes);
  }
  return over;
}

std::optional<BackgroundTask> BackgroundQueue::Await(Takes takes) {
  const auto has_work = [this, takes]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stop_ || !short_.empty() || (takes == Takes::kAll && !long_.empty());
  };
  const absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&has_work));
  Line* line = takes == Takes::kAll && !long_.empty() ? &long_ : &short_;
  if (line->empty()) return std::nullopt;
  BackgroundTask task = line->Pop();
  places_.Add(task.tenant, -1);
  return task;
}

void BackgroundQueue::Work(Takes takes) {
  while (std::optional<BackgroundTask> task = Await(takes)) {
    if (task->is_over()) {
      task->drop();
    } else {
      task->run();
    }
    budget_->Add(MemoryKind::kTexts, task->tenant, -task->bytes);
  }
}

}  // namespace tandem
