#include "services/gateway/server/call_pool.h"

#include <utility>

namespace tandem::gateway {

CallPool::CallPool(int threads) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this] { Loop(); });
  }
}

CallPool::~CallPool() {
  {
    absl::MutexLock lock(&mutex_);
    is_ending_ = true;
  }
  for (std::thread& thread : threads_) thread.join();
}

bool CallPool::Run(std::function<void()> call) {
  absl::MutexLock lock(&mutex_);
  if (calls_.size() >= kWaitingCallsMax) return false;
  calls_.push_back(std::move(call));
  return true;
}

void CallPool::Loop() {
  const auto has_work = [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return is_ending_ || !calls_.empty();
  };
  while (true) {
    std::function<void()> call;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&has_work));
      if (calls_.empty()) return;
      call = std::move(calls_.front());
      calls_.pop_front();
    }
    call();
  }
}

}  // namespace tandem::gateway
