// Threads for calls that block: those of the coordinator that answer once. What
// they do is short (lists, health), but for texts of tokens, which have a pool
// of their own; streams need no thread.
// Owned by the GatewayServer.

#ifndef TANDEM_SERVICES_GATEWAY_SERVER_CALL_POOL_H_
#define TANDEM_SERVICES_GATEWAY_SERVER_CALL_POOL_H_

#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace tandem::gateway {

inline constexpr int kCallThreads = 4;
inline constexpr size_t kWaitingCallsMax = 256;
// Each call ends after this.
inline constexpr absl::Duration kCallTimeout = absl::Seconds(10);

class CallPool {
 public:
  explicit CallPool(int threads = kCallThreads);
  // Runs what waits, then ends.
  ~CallPool();

  CallPool(const CallPool&) = delete;
  CallPool& operator=(const CallPool&) = delete;

  // Runs `call` on a thread of the pool; false, and nothing is run, where
  // kWaitingCallsMax wait. Any thread.
  bool Run(std::function<void()> call);

 private:
  void Loop();

  absl::Mutex mutex_;
  std::deque<std::function<void()>> calls_ ABSL_GUARDED_BY(mutex_);
  bool is_ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace tandem::gateway

#endif  // TANDEM_SERVICES_GATEWAY_SERVER_CALL_POOL_H_
