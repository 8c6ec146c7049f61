#include "engine/base/thread_team.h"

#include <immintrin.h>
#include <sched.h>

#include <algorithm>

#include "engine/base/check.h"

namespace tandem {
namespace {

// About 20 us: longer than the gap between two regions of one forward pass,
// shorter than anything that counts as idle.
constexpr int kSpinIterations = 400;

// Round to nearest, all exceptions masked, no flush to zero, no
// denormals-are-zero.
constexpr unsigned kMxcsr = 0x1f80;

// Restores the caller's MXCSR on the way out.
class ScopedMxcsr {
 public:
  ScopedMxcsr() : saved_(_mm_getcsr()) { _mm_setcsr(kMxcsr); }
  ~ScopedMxcsr() { _mm_setcsr(saved_); }

 private:
  unsigned saved_;
};

// Waits until `word` is no longer `value`: spins, then sleeps.
void WaitWhileEqual(const std::atomic<uint32_t>& word, uint32_t value) {
  for (int i = 0; i < kSpinIterations; ++i) {
    if (word.load(std::memory_order_acquire) != value) return;
    _mm_pause();
  }
  word.wait(value, std::memory_order_acquire);
}

}  // namespace

ThreadTeam::ThreadTeam(int size) {
  TANDEM_CHECK(size >= 1);
  threads_.reserve(size - 1);
  for (int member = 1; member < size; ++member) {
    threads_.emplace_back([this, member] { MemberLoop(member); });
  }
}

ThreadTeam::~ThreadTeam() {
  stop_.store(true, std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadTeam::Run(const std::function<void(int)>& body) {
  const ScopedMxcsr mxcsr;
  if (threads_.empty()) {
    body(0);
    return;
  }
  body_ = &body;
  running_.store(static_cast<uint32_t>(threads_.size()),
                 std::memory_order_relaxed);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  body(0);
  for (uint32_t left = running_.load(std::memory_order_acquire); left != 0;
       left = running_.load(std::memory_order_acquire)) {
    WaitWhileEqual(running_, left);
  }
}

void ThreadTeam::ParallelFor(
    int64_t count, int64_t grain,
    const std::function<void(int64_t, int64_t)>& body) {
  TANDEM_CHECK(grain >= 1);
  const int64_t grains = (count + grain - 1) / grain;
  const int64_t members = size();
  Run([&](int member) {
    const int64_t begin = grains * member / members * grain;
    const int64_t end =
        std::min(count, grains * (member + 1) / members * grain);
    if (begin < end) body(begin, end);
  });
}

void ThreadTeam::MemberLoop(int member) {
  const ScopedMxcsr mxcsr;
  uint32_t seen = 0;
  while (true) {
    WaitWhileEqual(generation_, seen);
    // Run publishes body_ before it raises generation_, and raises it again
    // only after every member has counted itself out, so exactly one region
    // lies between two values.
    ++seen;
    if (stop_.load(std::memory_order_relaxed)) return;
    (*body_)(member);
    if (running_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      running_.notify_one();
    }
  }
}

int AvailableCpus() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

}  // namespace tandem
