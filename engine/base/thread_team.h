// A fixed team of threads that shares out the chunks of one parallel region at
// a time, for the engine. Owned by one engine (or by a loader); regions are
// started from one thread at a time, and that thread takes part as member 0.
//
// Chunks go to whoever is free, so a member that the system has taken off its
// core costs at most the chunk that it holds, not the region; and a region is
// over when its chunks are, whether or not every member has woken up. A chunk's
// result may not depend on which member computes it.
//
// Idle members sleep on a futex after a short spin, so an idle team burns no
// CPU. Every member has the same MXCSR (round to nearest, no flush to zero):
// that is part of the numerics contract.

#ifndef TANDEM_ENGINE_BASE_THREAD_TEAM_H_
#define TANDEM_ENGINE_BASE_THREAD_TEAM_H_

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"

namespace tandem {

// Whether each member stays on one CPU.
enum class Pinning {
  kNone,
  // Member i on the i-th CPU, round, of those that the process may use. Good
  // where nothing else runs on them, and for whoever has divided the CPUs of a
  // machine among processes; elsewhere the system places threads better.
  kOneCpuEach,
};

class ThreadTeam {
 public:
  // Chunks of one region at most.
  static constexpr int kChunksMax = 1 << 12;

  // `size` members in all, the caller included; 1 .. 1024. The caller is
  // pinned, if at all, when it first runs a region.
  explicit ThreadTeam(int size, Pinning pinning = Pinning::kNone);
  ~ThreadTeam();

  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int size() const { return static_cast<int>(threads_.size()) + 1; }

  // Runs body(member, chunk) once for every chunk 0 .. chunks - 1 and returns
  // when all are done. `member`, 0 .. size() - 1, names the thread, for its
  // scratch. Not reentrant. Allocates nothing.
  void Run(int chunks, absl::FunctionRef<void(int member, int chunk)> body);

  // Runs body(begin, end) over slices of [0, count), each a multiple of
  // `grain` long but for the last. Splits outputs only: the result may not
  // depend on where the slices lie.
  void ParallelFor(int64_t count, int64_t grain,
                   absl::FunctionRef<void(int64_t begin, int64_t end)> body);

 private:
  using Body = absl::FunctionRef<void(int, int)>;

  void MemberLoop(int member);
  // Puts the calling thread on the CPU of `member`, where that is wanted.
  void Pin(int member) const;
  // Runs chunks of the region under way until none is left to begin.
  void TakeChunks(int member);

  const Pinning pinning_;
  std::thread::id pinned_caller_;  // by whom Run was called last
  std::vector<std::thread> threads_;
  // Written before work_, read by whoever has a chunk of it.
  const Body* body_ = nullptr;
  // The region: number of it (32 bits), chunks (16), next chunk (16). One word,
  // so a member that comes late takes a chunk of the region that is under way
  // or none.
  std::atomic<uint64_t> work_{0};
  std::atomic<uint32_t> done_{0};        // chunks of the region
  std::atomic<uint32_t> generation_{0};  // what idle members wait on
  std::atomic<bool> stop_{false};
};

// CPUs that this process may keep busy: those that it may run on, and no more
// than its control groups' quota (control_groups.h). At least 1.
int AvailableCpus();
// Why they are so many: "2 CPUs" or "quota of 0.5 of 2 CPUs".
std::string AvailableCpusText();
// The rule: a quota is rounded to the nearest whole number, at least 1.
// Measured on 2 CPUs of a Xeon with AVX-512 under a real quota
// (cpu.cfs_quota_us): `tandem bench model` as a whole, medians of 3 to 5
// interleaved runs, seconds with 1 and with 2 threads:
//
//   quota 1.25, 6 MB of int8 weights   3.58   3.32
//   quota 1.5,  6 MB                   3.62   2.90
//   quota 1.5,  92 MB of Q4_0          8.19   6.15
//   quota 1.75, 6 MB                   3.61   2.56
//
// So a team that the kernel stops in most periods, as it did, is faster all the
// same: its chunks go to whoever is free.
int CpusWithin(int cpus, std::optional<double> quota);

}  // namespace tandem

#endif  // TANDEM_ENGINE_BASE_THREAD_TEAM_H_
