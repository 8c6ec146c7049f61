// Gives memory that was freed after a burst back to the system: glibc's malloc
// keeps freed pages that lie below or between those in use. Owned by the
// server; has a thread of its own, because a trim of gigabytes takes a second.

#ifndef TANDEM_SERVICES_COORDINATOR_SERVER_MEMORY_TRIMMER_H_
#define TANDEM_SERVICES_COORDINATOR_SERVER_MEMORY_TRIMMER_H_

#include <cstdint>
#include <functional>

#include "services/coordinator/turn/event_loop.h"

namespace tandem {

// Bytes that malloc holds and nobody uses, which stand in memory.
int64_t UnusedHeapBytes();

class MemoryTrimmer {
 public:
  // `on_look` is called on the thread at each look, every few seconds.
  explicit MemoryTrimmer(std::function<void()> on_look);

 private:
  void Look();

  const std::function<void()> on_look_;
  EventLoopThread thread_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_SERVER_MEMORY_TRIMMER_H_
