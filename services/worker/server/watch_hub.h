// The Watch streams of a worker: reports go out when the load has changed
// enough, at most every 100 ms and at least every 5 s.
//
// One thread, asleep while nothing changes or nobody watches. Any thread may
// call. The server must be shut down before the hub goes.

#ifndef TANDEM_SERVICES_WORKER_SERVER_WATCH_HUB_H_
#define TANDEM_SERVICES_WORKER_SERVER_WATCH_HUB_H_

#include <grpcpp/support/server_callback.h>

#include <functional>
#include <set>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "engine/base/status.h"
#include "tandem/v1/worker.pb.h"

namespace tandem {

inline constexpr absl::Duration kWatchIntervalMin = absl::Milliseconds(100);
inline constexpr absl::Duration kWatchIntervalMax = absl::Seconds(5);
inline constexpr size_t kWatchersMax = 256;
// A step cost, or the sequences of a step, that moved by less than this part is
// not news.
inline constexpr double kStepCostNews = 0.2;

// True where a watcher that has `last` should get `now`: any figure differs,
// or a step cost is new or moved by kStepCostNews, or the sequences did.
bool IsNews(const v1::WatchResponse& last, const v1::WatchResponse& now);

class WatchHub {
 public:
  // `report` gives the load now; called on any thread with no lock held.
  explicit WatchHub(std::function<v1::WatchResponse()> report);
  ~WatchHub();

  WatchHub(const WatchHub&) = delete;
  WatchHub& operator=(const WatchHub&) = delete;

  // A new Watch stream, which deletes itself when it is over. Its first report
  // comes from the thread, within kWatchIntervalMin; the others get it too.
  // Ends at once with RESOURCE_EXHAUSTED over kWatchersMax, with UNAVAILABLE
  // after EndAll.
  grpc::ServerWriteReactor<v1::WatchResponse>* NewWatcher();

  // The load may have changed.
  void MarkChanged();

  // Ends every stream, and those to come, with UNAVAILABLE.
  void EndAll();

 private:
  class Watcher;

  void Run();

  const std::function<v1::WatchResponse()> report_;
  absl::Mutex mutex_;
  std::set<Watcher*> watchers_ ABSL_GUARDED_BY(mutex_);
  bool changed_ ABSL_GUARDED_BY(mutex_) = false;
  bool has_new_watcher_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SERVER_WATCH_HUB_H_
