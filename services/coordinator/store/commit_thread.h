// A thread with a connection of its own, which commits operations in groups:
// what has come while one commit was under way goes into the next one, so a
// slow disk makes groups larger, and the rate of operations has no bound in
// that of its syncs. Owned by the store; Post may be called from any thread.
//
// While the database is away, operations wait for as long as the limits say,
// and then fail with UNAVAILABLE; the thread connects again by itself.

#ifndef TANDEM_SERVICES_COORDINATOR_STORE_COMMIT_THREAD_H_
#define TANDEM_SERVICES_COORDINATOR_STORE_COMMIT_THREAD_H_

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "engine/base/monotonic_clock.h"
#include "services/coordinator/store/sql_connection.h"
#include "services/coordinator/store/state_store.h"

namespace tandem {

// Operations in one group: a group of PostgreSQL is one round trip, and a
// commit that waits for its disk takes 4 ms, in which 256 are written.
inline constexpr size_t kGroupOperationsMax = 256;
// Bytes of their values. More than one operation may have; a long prompt with
// some others.
inline constexpr size_t kGroupBytesMax = size_t{4} << 20;
// Operations that wait, and bytes of their values; then RESOURCE_EXHAUSTED.
inline constexpr size_t kWaitingOperationsMax = 16384;
inline constexpr size_t kWaitingBytesMax = size_t{64} << 20;

// Calls that are committed together with those of others, and what follows.
// Used by the thread alone, once it was posted.
class SqlOperation {
 public:
  // `session_id`: the one session that it is about; empty for one about many,
  // which is a group by itself.
  explicit SqlOperation(std::string session_id)
      : session_id_(std::move(session_id)) {}
  virtual ~SqlOperation() = default;

  const std::string& session_id() const { return session_id_; }

  // May be asked for several times, and what it returned run twice.
  virtual std::vector<SqlCall> Calls() const = 0;
  // Calls() were committed, with these results. True: it is done. False: what
  // Calls() returns now is to be committed too.
  virtual bool OnCommitted(absl::Span<const SqlResult> results) = 0;
  // It is over.
  virtual void OnFailed(const absl::Status& status) = 0;

 private:
  const std::string session_id_;
};

enum class CommitTime {
  kNow,
  kSoon,  // within StoreLimits::write_behind
};

class CommitThread {
 public:
  CommitThread(std::unique_ptr<SqlConnection> connection,
               const StoreLimits& limits);
  // Returns when all operations are over: committed, or, where the database is
  // away, failed.
  ~CommitThread();

  CommitThread(const CommitThread&) = delete;
  CommitThread& operator=(const CommitThread&) = delete;

  // `bytes`: of the operation's values, about. Where too much waits the
  // operation fails, on the calling thread.
  void Post(std::unique_ptr<SqlOperation> operation, CommitTime time,
            size_t bytes);

 private:
  struct Waiting {
    std::unique_ptr<SqlOperation> operation;
    CommitTime time = CommitTime::kNow;
    size_t bytes = 0;
    absl::Time since;  // of MonotonicNow
    size_t calls = 0;  // of the transaction under way
  };
  using Group = std::vector<Waiting>;

  void Run();
  // Waits for the next group; empty: the end.
  Group NextGroup();
  bool IsDue() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Waiting TakeFirst() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Until all of `group` are over, or back in the queue for their next calls.
  void Commit(Group group);
  // Where the database is away: waits, fails what waits too long (of the queue
  // too), and connects.
  void Reconnect(const absl::Status& why, Group* group);
  void FailOverdue(const absl::Status& why, Group* group);
  void Finish(Group group, absl::Span<const SqlResult> results);

  const StoreLimits limits_;
  const std::unique_ptr<SqlConnection> connection_;  // the thread's
  absl::Duration backoff_;                           // the thread's

  TimedWait changed_;
  absl::Mutex mutex_;
  std::deque<Waiting> queue_ ABSL_GUARDED_BY(mutex_);
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;   // of queue_
  size_t urgent_ ABSL_GUARDED_BY(mutex_) = 0;  // of queue_, those for kNow
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_STORE_COMMIT_THREAD_H_
