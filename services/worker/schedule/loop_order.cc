#include "services/worker/schedule/loop_order.h"

namespace tandem {

void LoopOrder::Acquire() {
  absl::MutexLock lock(&mutex_);
  const uint64_t ticket = next_ticket_++;
  const auto is_served = [this, ticket]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return served_ticket_ == ticket;
  };
  mutex_.Await(absl::Condition(&is_served));
}

void LoopOrder::Release() {
  absl::MutexLock lock(&mutex_);
  ++served_ticket_;
}

}  // namespace tandem
