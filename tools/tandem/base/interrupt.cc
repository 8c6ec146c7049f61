#include "tools/tandem/base/interrupt.h"

#include <utility>

#include "tools/tandem/base/command.h"

namespace tandem::cli {

Interrupt::Interrupt()
    : watcher_({.on_first = [this] { End(); },
                .second_exit_code = kExitInterrupted}) {}

void Interrupt::SetUnderWay(std::function<void()> end) {
  absl::MutexLock lock(&mutex_);
  end_ = std::move(end);
  if (watcher_.came() && end_) end_();
}

void Interrupt::End() {
  absl::MutexLock lock(&mutex_);
  if (end_) end_();
}

}  // namespace tandem::cli
