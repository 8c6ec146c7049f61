// A fixed team of threads that runs one function at a time, for the engine's
// parallel regions. Owned by one engine (or by a loader); Run is called from
// one thread at a time, and that thread takes part as member 0.
//
// Idle members sleep on a futex after a short spin, so an idle team burns no
// CPU. Every member has the same MXCSR (round to nearest, no flush to zero):
// that is part of the numerics contract.

#ifndef TANDEM_ENGINE_BASE_THREAD_TEAM_H_
#define TANDEM_ENGINE_BASE_THREAD_TEAM_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace tandem {

class ThreadTeam {
 public:
  // `size` members in all, the caller included; at least 1.
  explicit ThreadTeam(int size);
  ~ThreadTeam();

  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int size() const { return static_cast<int>(threads_.size()) + 1; }

  // Runs body(member) once on every member, 0 .. size() - 1, and returns when
  // all are done. Not reentrant.
  void Run(const std::function<void(int member)>& body);

  // Runs body(begin, end) over slices of [0, count), each a multiple of
  // `grain` long but for the last, one slice a member. Splits outputs only:
  // the caller's result may not depend on where the slices lie.
  void ParallelFor(int64_t count, int64_t grain,
                   const std::function<void(int64_t begin, int64_t end)>& body);

 private:
  void MemberLoop(int member);

  std::vector<std::thread> threads_;
  const std::function<void(int)>* body_ = nullptr;
  std::atomic<uint32_t> generation_{0};
  std::atomic<uint32_t> running_{0};
  std::atomic<bool> stop_{false};
};

// The number of CPUs that this process may run on; at least 1.
int AvailableCpus();

}  // namespace tandem

#endif  // TANDEM_ENGINE_BASE_THREAD_TEAM_H_
