// Turns of one client, several at once, whose results come in the order in
// which they were asked for. A turn that the service has no room for is asked
// for again. Owned by a command; its members belong to the command's thread,
// except Cancel.

#ifndef TANDEM_TOOLS_TANDEM_TURNS_PARALLEL_TURNS_H_
#define TANDEM_TOOLS_TANDEM_TURNS_PARALLEL_TURNS_H_

#include <deque>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "services/client/turn_stream.h"
#include "tandem/v1/generation.pb.h"
#include "tools/tandem/base/client.h"
#include "tools/tandem/base/turn_report.h"

namespace tandem::cli {

// How long a turn that finds no room is asked for again, each time after what
// the service says: some times the wait for KV of a busy service, which is
// 30 s.
inline constexpr absl::Duration kRoomWait = absl::Minutes(5);

class ParallelTurns {
 public:
  // A thread for each of `at_once` turns. `client` outlives this.
  ParallelTurns(Client* client, int at_once);
  // Leaves the turns that are under way.
  ~ParallelTurns();

  ParallelTurns(const ParallelTurns&) = delete;
  ParallelTurns& operator=(const ParallelTurns&) = delete;

  // `turn` is of no session.
  void Add(v1::TurnRequest turn);
  // Turns that were added and not taken.
  size_t size() const;
  // The result of the oldest of them; waits until it is over. Errors: the
  // library's (services/client), or InterruptedError after Cancel.
  absl::StatusOr<TurnRecord> Take();

  // Any thread: turns under way end by their own events, and those that wait
  // are not begun.
  void Cancel();

 private:
  struct Job {
    v1::TurnRequest request;
    std::shared_ptr<client::TurnStream> stream = nullptr;  // under way
    bool is_begun = false;
    std::optional<absl::StatusOr<TurnRecord>> result = {};
  };

  void Work();
  // The oldest that has not begun; null where there is none.
  Job* FirstThatWaits() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Waits for it, and begins it; null at the end.
  Job* NextJob();
  absl::StatusOr<TurnRecord> Run(Job* job);
  absl::StatusOr<TurnRecord> Read(client::TurnStream* stream, bool is_chat);
  // False after Cancel.
  bool Wait(absl::Duration delay);

  Client* const client_;
  mutable absl::Mutex mutex_;
  std::deque<std::unique_ptr<Job>> jobs_ ABSL_GUARDED_BY(mutex_);
  bool is_cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_over_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace tandem::cli

#endif  // TANDEM_TOOLS_TANDEM_TURNS_PARALLEL_TURNS_H_
