#include "services/worker/server/grammar_thread.h"

#include <utility>

namespace tandem {

GrammarThread::GrammarThread() : thread_([this] { Work(); }) {}

GrammarThread::~GrammarThread() {
  {
    const absl::MutexLock lock(&mutex_);
    stop_ = true;
  }
  thread_.join();
}

absl::Status GrammarThread::Run(Task task) {
  const absl::MutexLock lock(&mutex_);
  if (tasks_.size() >= kGrammarsWaitingMax) {
    return Exhausted(
        "the worker has too many grammars to compile; try again later");
  }
  tasks_.push_back(std::move(task));
  return absl::OkStatus();
}

std::optional<GrammarThread::Task> GrammarThread::Await() {
  const auto has_work = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stop_ || !tasks_.empty();
  };
  const absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(&has_work));
  if (tasks_.empty()) return std::nullopt;
  Task task = std::move(tasks_.front());
  tasks_.pop_front();
  return task;
}

void GrammarThread::Work() {
  while (std::optional<Task> task = Await()) (*task)();
}

}  // namespace tandem
