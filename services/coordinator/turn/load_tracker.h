// The load of one model of a worker as this process knows it: what the worker
// told last, corrected by the streams that this process has opened and closed
// since. Several coordinators may use the worker, so its own word counts first.
// Owned by the worker's link; any thread may call.

#ifndef TANDEM_SERVICES_COORDINATOR_TURN_LOAD_TRACKER_H_
#define TANDEM_SERVICES_COORDINATOR_TURN_LOAD_TRACKER_H_

#include <cstdint>
#include <mutex>

#include "engine/base/types.h"

namespace tandem {

// The load of one of a worker's models. As the worker told; or, from
// LoadTracker::load, corrected.
struct WorkerLoad {
  int streams = 0;
  int requests_pending = 0;
  int streams_queued = 0;  // that wait for KV
  int64_t kv_pages_free = 0;
  int64_t kv_pages_cached = 0;  // of the free ones, with KV of before
  int64_t kv_pages_total = 0;   // 0: not told
  int kv_page_tokens = 0;
  // The worker's other models, which compute in turn with this one: their
  // streams, and one pass of each that has any, in microseconds.
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
  void OnReport(const WorkerLoad& told);
  // The worker is gone: nothing it told holds.
  void Forget() { OnReport(WorkerLoad()); }
  // A stream of this process: from Opened to Closed.
  void OnOpened(Position tokens_max);
  void OnClosed();

  WorkerLoad load() const;
  // Streams of this process now.
  int own_streams() const;

 private:
  mutable std::mutex mutex_;
  // All guarded by mutex_.
  WorkerLoad told_;
  int own_streams_ = 0;
  int own_at_report_ = 0;
  int64_t tokens_since_report_ = 0;  // tokens_max of those opened since
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_TURN_LOAD_TRACKER_H_
