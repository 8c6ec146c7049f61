// The load of one model of a worker as this process knows it: the worker's last
// report, corrected by the streams that this process has opened and closed
// since then. The report counts first, because several coordinators may use the
// worker. Owned by the worker's link; any thread may call.

#ifndef TANDEM_SERVICES_COORDINATOR_TURN_LOAD_TRACKER_H_
#define TANDEM_SERVICES_COORDINATOR_TURN_LOAD_TRACKER_H_

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/types.h"

namespace tandem {

// The load of one of a worker's models: as the worker reports it, or corrected,
// from LoadTracker::load.
struct WorkerLoad {
  int streams = 0;
  int requests_pending = 0;
  int streams_queued = 0;  // streams that wait for KV
  int64_t kv_pages_free = 0;
  // Free pages that hold KV of earlier sequences, which may be used again.
  int64_t kv_pages_cached = 0;
  int64_t kv_pages_total = 0;  // 0: the worker has not reported it
  int kv_page_tokens = 0;      // tokens per page
  // The worker's other models, which compute in turn with this one: how many
  // streams they have, and what one pass of each model with a stream takes in
  // all, in microseconds.
  int other_streams = 0;
  double other_pass_us = 0;

  friend bool operator==(const WorkerLoad&, const WorkerLoad&) = default;
};

// True where `load` has free KV for a sequence of `tokens_max` tokens, or says
// nothing of KV.
bool HasRoom(const WorkerLoad& load, Position tokens_max);

class LoadTracker {
 public:
  // The worker's newest report.
  void OnReport(const WorkerLoad& report);
  // The worker is gone: its last report does not hold any more.
  void Forget() { OnReport(WorkerLoad()); }
  // This process opens a stream that will hold up to `tokens_max` tokens, and
  // closes it.
  void OnOpened(Position tokens_max);
  void OnClosed();

  WorkerLoad load() const;
  // Streams of this process now.
  int own_streams() const;

 private:
  mutable absl::Mutex mutex_;
  WorkerLoad report_ ABSL_GUARDED_BY(mutex_);
  int own_streams_ ABSL_GUARDED_BY(mutex_) = 0;
  int own_at_report_ ABSL_GUARDED_BY(mutex_) = 0;
  // tokens_max of all streams that were opened since the report.
  int64_t tokens_since_report_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_TURN_LOAD_TRACKER_H_
