// The opens that wait for KV, in the order in which they get it. Owned by the
// compute loop; one thread; no clock of its own.
//
// Tenants take turns, and each tenant's opens go first come, first served. The
// head is the one that gets the next room: while it does not fit nobody passes
// it, so what is freed adds up for it and a large one can not starve. Each open
// waits for those of its own tenant before it, and for as many of every other
// tenant at most. A head that goes away leaves the turn to its tenant.

#ifndef TANDEM_SERVICES_WORKER_SCHEDULE_OPEN_QUEUE_H_
#define TANDEM_SERVICES_WORKER_SCHEDULE_OPEN_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"

namespace tandem {

struct QueuedOpen {
  uint64_t id = 0;  // each once
  std::string tenant;
  absl::Time until;  // then it waits no longer
};

class OpenQueue {
 public:
  void Push(QueuedOpen open);
  // The next to be served; nothing where the queue is empty.
  std::optional<uint64_t> Head() const;
  // The head was served: the turn goes to the next tenant.
  void PopHead();
  // Nothing where it does not wait.
  void Remove(uint64_t id);
  // Removes those whose time is over, the earliest first.
  std::vector<uint64_t> TakeExpired(absl::Time now);
  // When the next one's time is over; infinite future: none waits.
  absl::Time NextExpiry() const;

  size_t size() const { return waiting_.size(); }
  bool empty() const { return waiting_.empty(); }

 private:
  // Takes it out of everything but its tenant's line.
  void Forget(uint64_t id);

  std::map<uint64_t, QueuedOpen> waiting_;
  std::set<std::pair<absl::Time, uint64_t>> expiries_;
  std::map<std::string, std::deque<uint64_t>> lines_;  // by tenant, not empty
  std::deque<std::string> turns_;  // each tenant with a line, the next first
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SCHEDULE_OPEN_QUEUE_H_
