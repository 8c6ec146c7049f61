// The Watch streams of a worker: reports go out when the load has changed
// enough, at most every 100 ms and at least every 5 s.
//
// Each stream has the thread of its call, asleep while nothing changes. Any
// thread may call. The server is shut down before the hub goes.

#ifndef TANDEM_SERVICES_WORKER_SERVER_WATCH_HUB_H_
#define TANDEM_SERVICES_WORKER_SERVER_WATCH_HUB_H_

#include <grpcpp/support/sync_stream.h>

#include <cstdint>
#include <functional>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/monotonic_clock.h"
#include "engine/base/status.h"
#include "tandem/v1/worker.pb.h"

namespace tandem {

inline constexpr absl::Duration kWatchIntervalMin = absl::Milliseconds(100);
inline constexpr absl::Duration kWatchIntervalMax = absl::Seconds(5);
inline constexpr int kWatchersMax = 256;
// A stream whose peer is gone is noticed within this time, so that peers which
// come back often do not fill the places: 256 watchers wake up as often, which
// costs less than 0.1% of a core.
inline constexpr absl::Duration kWatchCancelCheck = absl::Seconds(1);
// A step cost, or the sequences of a step, that moved by less than this part is
// not news.
inline constexpr double kStepCostNews = 0.2;

// True where a watcher that has `last` should get `now`: any figure differs,
// or a step cost is new or moved by kStepCostNews, or the sequences did.
bool IsNews(const v1::WatchResponse& last, const v1::WatchResponse& now);

class WatchHub {
 public:
  using Writer = grpc::ServerWriterInterface<v1::WatchResponse>;

  // `report` gives the load now; called on any thread with no lock held.
  explicit WatchHub(std::function<v1::WatchResponse()> report);

  WatchHub(const WatchHub&) = delete;
  WatchHub& operator=(const WatchHub&) = delete;

  // Serves one stream until it is over; the first report goes out at once. A
  // reader that is slow gets fewer reports. `is_cancelled` is called on this
  // thread with no lock held: true once the peer is gone. RESOURCE_EXHAUSTED
  // over kWatchersMax, UNAVAILABLE from EndAll on.
  absl::Status Serve(Writer* writer, absl::FunctionRef<bool()> is_cancelled);

  // The load may have changed.
  void MarkChanged();

  // Ends every stream, and those to come, with UNAVAILABLE.
  void EndAll();

 private:
  // Sleeps until the stream that has the changes up to `seen` and got a report
  // at `sent` needs another look, at most kWatchCancelCheck. False: the streams
  // end.
  bool Wait(absl::Time sent, uint64_t* seen);

  const std::function<v1::WatchResponse()> report_;
  // Changes come with each pass, and wake nobody between two reports.
  TimedWait end_;
  TimedWait changed_;
  absl::Mutex mutex_;
  int watchers_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t changes_ ABSL_GUARDED_BY(mutex_) = 0;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SERVER_WATCH_HUB_H_
