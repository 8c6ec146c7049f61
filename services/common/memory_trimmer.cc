#include "services/common/memory_trimmer.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "engine/base/control_groups.h"

namespace tandem {
namespace {

// Memory is back within 60 s of a burst with room to spare.
constexpr absl::Duration kLookEvery = absl::Seconds(5);
// A look takes some 10 us, but 100 ms for each million free pieces that lie
// between those in use, and as long nobody allocates: 2% of the time at most.
constexpr int kPauseOfALook = 50;
// Less than this is not worth a trim, after which the pages are faulted in
// again.
constexpr int64_t kUnusedBytesMax = int64_t{32} << 20;

// Pages of the process that are in memory and of no file.
int64_t AnonymousBytes() {
  const std::vector<std::string> fields =
      absl::StrSplit(ReadSmallFile("/proc/self/statm"), ' ');
  int64_t resident = 0;
  int64_t shared = 0;
  if (fields.size() < 3 || !absl::SimpleAtoi(fields[1], &resident) ||
      !absl::SimpleAtoi(fields[2], &shared)) {
    return 0;
  }
  return (resident - shared) * sysconf(_SC_PAGESIZE);
}

}  // namespace

// What malloc has free may have been given back already, so it is compared
// with what stands in memory and is not in use.
int64_t UnusedHeapBytes() {
  const struct mallinfo2 info = mallinfo2();
  const int64_t free = static_cast<int64_t>(info.fordblks);
  const int64_t used = static_cast<int64_t>(info.uordblks + info.hblkhd);
  return std::clamp<int64_t>(AnonymousBytes() - used, 0, free);
}

MemoryTrimmer::MemoryTrimmer(std::function<void()> on_look)
    : on_look_(std::move(on_look)), thread_([this] { Run(); }) {}

MemoryTrimmer::~MemoryTrimmer() {
  {
    absl::MutexLock lock(&mutex_);
    stop_ = true;
    stopping_.Notify();
  }
  thread_.join();
}

absl::Duration PauseAfterLook(absl::Duration took) {
  return kLookEvery + kPauseOfALook * took;
}

void MemoryTrimmer::Run() {
  const auto is_over = [this]()
                           ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return stop_; };
  while (true) {
    const absl::Time begin = MonotonicNow();
    Look();
    const absl::Time end = MonotonicNow();
    absl::MutexLock lock(&mutex_);
    if (stopping_.Await(&mutex_, end + PauseAfterLook(end - begin), is_over)) {
      return;
    }
  }
}

void MemoryTrimmer::Look() {
  on_look_();
  const int64_t unused = UnusedHeapBytes();
  least_unused_ = std::min(least_unused_, unused);
  if (unused - least_unused_ <= kUnusedBytesMax) return;
  malloc_trim(0);
  least_unused_ = UnusedHeapBytes();
}

}  // namespace tandem
