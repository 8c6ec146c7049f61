#include "services/coordinator/client/background_thread.h"

#include <utility>

namespace tandem {

absl::Status BackgroundThread::Run(EventLoop::Closure task) {
  if (waiting_.fetch_add(1) >= tasks_max_) {
    waiting_.fetch_sub(1);
    return Exhausted("too many prompts wait to be made tokens; try later");
  }
  thread_.loop()->Post([this, task = std::move(task)]() mutable {
    waiting_.fetch_sub(1);
    task();
  });
  return absl::OkStatus();
}

}  // namespace tandem
