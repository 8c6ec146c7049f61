// Gives memory that was freed after a burst back to the system: glibc's malloc
// keeps freed pages that lie below or between those in use. Owned by the
// server; has a thread of its own, because a trim of gigabytes takes a second.

#ifndef TANDEM_SERVICES_COMMON_MEMORY_TRIMMER_H_
#define TANDEM_SERVICES_COMMON_MEMORY_TRIMMER_H_

#include <cstdint>
#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/monotonic_clock.h"

namespace tandem {

// Bytes that malloc holds and nobody uses, which stand in memory. Where a
// process has much memory that is not malloc's (a model's weights), those that
// were given back already may count too.
int64_t UnusedHeapBytes();

// How long a trimmer does not look after a look (and a trim) that took so long.
absl::Duration PauseAfterLook(absl::Duration took);

class MemoryTrimmer {
 public:
  // `on_look` is called on the thread at each look, every few seconds.
  explicit MemoryTrimmer(std::function<void()> on_look = [] {});
  ~MemoryTrimmer();

  MemoryTrimmer(const MemoryTrimmer&) = delete;
  MemoryTrimmer& operator=(const MemoryTrimmer&) = delete;

 private:
  void Run();
  void Look();

  const std::function<void()> on_look_;
  // Least unused bytes at a look since the last trim: what came since then is
  // worth another one. The thread's own.
  int64_t least_unused_ = 0;
  absl::Mutex mutex_;
  TimedWait stopping_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_MEMORY_TRIMMER_H_
