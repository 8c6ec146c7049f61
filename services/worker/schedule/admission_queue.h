// The opens that wait for KV pages or for a place, in the order in which they
// get it, and when a refused open should be tried again. Owned by the compute
// loop; one thread; time is given, of MonotonicNow.
//
// Tenants take turns, and each tenant's opens go first come, first served. The
// head is served next: while it does not fit no other passes it, so what
// becomes free adds up for it and a large open can not starve. Each open waits
// for those of its own tenant before it, and for as many of every other tenant
// at most. A head that goes away leaves the turn to its tenant.
//
// The time after which a refused open should be tried again is what is missing,
// with all that wait, over the rate at which pages and places became free
// lately: an exponential window of kRateWindow, corrected for what lies before
// the first sequence.

#ifndef TANDEM_SERVICES_WORKER_SCHEDULE_ADMISSION_QUEUE_H_
#define TANDEM_SERVICES_WORKER_SCHEDULE_ADMISSION_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace tandem {

inline constexpr absl::Duration kRateWindow = absl::Seconds(10);
inline constexpr absl::Duration kRetryAfterMin = absl::Milliseconds(100);
inline constexpr absl::Duration kRetryAfterMax = absl::Seconds(30);
// While no rate is known.
inline constexpr absl::Duration kRetryAfterUnknown = absl::Seconds(1);

struct WaitingOpen {
  uint64_t id = 0;  // each once
  std::string tenant = {};
  absl::Time until = {};  // refused then
  int64_t pages = 0;      // of KV
};

// What sequences take, and what is free.
struct Vacancy {
  int64_t pages = 0;  // of KV
  int64_t sequences = 0;
};

class AdmissionQueue {
 public:
  void Push(WaitingOpen open);
  // The next to be served; nothing where the queue is empty.
  std::optional<uint64_t> Head() const;
  // The head was served: the next tenant has its turn.
  void PopHead();
  // The head's tenant lets the next one have its turn.
  void PassTurn();
  // Tenants with an open that waits.
  size_t tenants() const { return turns_.size(); }
  // Nothing where it does not wait.
  void Remove(uint64_t id);
  // Removes the opens whose time is over, the earliest first.
  std::vector<uint64_t> TakeExpired(absl::Time now);
  // When the time of the next one is over; infinite future: none waits.
  absl::Time NextExpiry() const;

  size_t size() const { return waiting_.size(); }
  bool empty() const { return waiting_.empty(); }

  // The first sequence opened: the rates begin now.
  void BeginRates(absl::Time now);
  // `freed` became free. `now` never goes back.
  void OnFreed(const Vacancy& freed, absl::Time now);
  // After which an open of `pages`, beside all that wait, may find what it
  // needs: kRetryAfterMin .. kRetryAfterMax.
  absl::Duration RetryAfter(int64_t pages, const Vacancy& free,
                            absl::Time now) const;

 private:
  // What is left at `now` of the weight of events before updated_.
  double Decay(absl::Time now) const;

  std::deque<WaitingOpen> waiting_;  // first come first
  std::deque<std::string> turns_;    // each tenant that waits, the next first
  absl::Time began_ = absl::InfinitePast();
  absl::Time updated_ = absl::InfinitePast();
  double pages_freed_ = 0;  // weighted, at updated_
  double sequences_freed_ = 0;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SCHEDULE_ADMISSION_QUEUE_H_
