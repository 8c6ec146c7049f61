#include "engine/base/thread_team.h"

#include <immintrin.h>
#include <sched.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/control_groups.h"

namespace tandem {
namespace {

// About 50 us: longer than the gap between two regions of one forward pass,
// shorter than anything that counts as idle.
constexpr int kSpinIterations = 1500;

constexpr int kSizeMax = 1024;
// Of the count of chunks and of the next chunk in a region's word.
constexpr int kCountBits = 16;
constexpr uint64_t kCountMask = (uint64_t{1} << kCountBits) - 1;
static_assert(ThreadTeam::kChunksMax + 2 * kSizeMax <= kCountMask);

// More slices than members, so that one that is held up leaves work to others.
constexpr int kSlicesAMember = 4;

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

// The CPUs that the process may use, as they were at the first call: a thread
// that is pinned later, and those that it starts, may use fewer.
const std::vector<int>& ProcessCpus() {
  static const std::vector<int>* const cpus = [] {
    auto* found = new std::vector<int>();
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof(set), &set) == 0) {
      for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(cpu, &set)) found->push_back(cpu);
      }
    }
    if (found->empty()) found->push_back(0);
    return found;
  }();
  return *cpus;
}

}  // namespace

ThreadTeam::ThreadTeam(int size, Pinning pinning) : pinning_(pinning) {
  TANDEM_CHECK(size >= 1 && size <= kSizeMax);
  (void)ProcessCpus();  // before any thread is pinned
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

void ThreadTeam::Run(int chunks, Body body) {
  TANDEM_CHECK(chunks >= 0 && chunks <= kChunksMax);
  const ScopedMxcsr mxcsr;
  if (pinned_caller_ != std::this_thread::get_id()) {
    pinned_caller_ = std::this_thread::get_id();
    Pin(0);
  }
  if (threads_.empty() || chunks <= 1) {
    for (int chunk = 0; chunk < chunks; ++chunk) body(0, chunk);
    return;
  }
  const uint32_t wanted = static_cast<uint32_t>(chunks);
  body_ = &body;
  done_.store(0, std::memory_order_relaxed);
  const uint64_t region =
      generation_.load(std::memory_order_relaxed) + uint64_t{1};
  work_.store(region << 32 | uint64_t{wanted} << kCountBits,
              std::memory_order_release);
  generation_.fetch_add(1, std::memory_order_release);
  generation_.notify_all();
  TakeChunks(0);
  for (uint32_t done = done_.load(std::memory_order_acquire); done != wanted;
       done = done_.load(std::memory_order_acquire)) {
    WaitWhileEqual(done_, done);
  }
}

void ThreadTeam::TakeChunks(int member) {
  while (true) {
    // Attempts that find no chunk also count up: at most two a member and
    // region, so the 16 bits hold kChunksMax and them.
    const uint64_t work = work_.fetch_add(1, std::memory_order_acq_rel);
    const uint32_t next = work & kCountMask;
    const uint32_t chunks = (work >> kCountBits) & kCountMask;
    if (next >= chunks) return;
    (*body_)(member, static_cast<int>(next));
    if (done_.fetch_add(1, std::memory_order_acq_rel) + 1 == chunks) {
      done_.notify_one();
    }
  }
}

void ThreadTeam::ParallelFor(int64_t count, int64_t grain,
                             absl::FunctionRef<void(int64_t, int64_t)> body) {
  TANDEM_CHECK(grain >= 1);
  const int64_t grains = (count + grain - 1) / grain;
  const int64_t chunks = std::min<int64_t>(
      grains, std::min<int64_t>(kChunksMax, int64_t{size()} * kSlicesAMember));
  Run(static_cast<int>(chunks), [&](int /*member*/, int chunk) {
    const int64_t begin = grains * chunk / chunks * grain;
    const int64_t end = std::min(count, grains * (chunk + 1) / chunks * grain);
    if (begin < end) body(begin, end);
  });
}

void ThreadTeam::Pin(int member) const {
  if (pinning_ == Pinning::kNone) return;
  const std::vector<int>& cpus = ProcessCpus();
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpus[static_cast<size_t>(member) % cpus.size()], &one);
  // A wish: where the system refuses it, the thread runs where it may.
  (void)sched_setaffinity(0, sizeof(one), &one);
}

void ThreadTeam::MemberLoop(int member) {
  Pin(member);
  const ScopedMxcsr mxcsr;
  uint32_t seen = 0;
  while (true) {
    WaitWhileEqual(generation_, seen);
    seen = generation_.load(std::memory_order_acquire);
    if (stop_.load(std::memory_order_relaxed)) return;
    TakeChunks(member);
  }
}

int CpusWithin(int cpus, std::optional<double> quota) {
  if (!quota.has_value() || *quota >= cpus) return cpus;
  return std::max(1, static_cast<int>(std::lround(*quota)));
}

int AvailableCpus() {
  return CpusWithin(static_cast<int>(ProcessCpus().size()),
                    ReadProcessorQuota());
}

std::string AvailableCpusText() {
  const int cpus = static_cast<int>(ProcessCpus().size());
  const std::optional<double> quota = ReadProcessorQuota();
  const std::string all = absl::StrCat(cpus, cpus == 1 ? " CPU" : " CPUs");
  if (!quota.has_value() || *quota >= cpus) return all;
  return absl::StrCat("quota of ", *quota, " of ", all);
}

}  // namespace tandem
