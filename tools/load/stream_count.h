// Counts objects that delete themselves on threads of a library, so that their
// maker can wait for the last one. Any thread.

#ifndef TANDEM_TOOLS_LOAD_STREAM_COUNT_H_
#define TANDEM_TOOLS_LOAD_STREAM_COUNT_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace tandem::load {

class StreamCount {
 public:
  StreamCount() = default;
  // Waits for the count to be 0.
  ~StreamCount() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(
        +[](int* count) { return *count == 0; }, &count_));
  }

  StreamCount(const StreamCount&) = delete;
  StreamCount& operator=(const StreamCount&) = delete;

  void Increment() {
    absl::MutexLock lock(&mutex_);
    ++count_;
  }
  void Decrement() {
    absl::MutexLock lock(&mutex_);
    --count_;
  }

 private:
  absl::Mutex mutex_;
  int count_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tandem::load

#endif  // TANDEM_TOOLS_LOAD_STREAM_COUNT_H_
