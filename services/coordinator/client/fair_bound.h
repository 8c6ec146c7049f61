// A bounded number of something that tenants share: turns, places in a queue,
// bytes. Owned by what it bounds, whose lock or loop protects it; time is
// given.
//
// A tenant that asks alone may have all. Once several have asked within
// kAskedLately, the last quarter is kept for tenants that have less than an
// equal share: what a tenant took before the others came is not taken away, but
// what becomes free goes to them first. So a tenant at any rate leaves the
// others their share after one turn's time, and nothing stands unused while
// there is one tenant only.

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_FAIR_BOUND_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_FAIR_BOUND_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "services/coordinator/turn/event_loop.h"

namespace tandem {

class FairBound {
 public:
  // As long as a refused client takes to come back (ReturnTimes), and as an
  // open waits in a worker's queue.
  static constexpr MonotonicDuration kAskedLately = std::chrono::seconds(60);

  explicit FairBound(int64_t max) : max_(max) {}

  // True, and counted, where `tenant` may have `count` more. `now` never goes
  // back.
  bool Take(const std::string& tenant, int64_t count, MonotonicTime now);
  // The same without counting.
  bool HasRoom(const std::string& tenant, int64_t count, MonotonicTime now);
  // Counts what is there already (below 0: given back), at the bound too.
  void Add(const std::string& tenant, int64_t count);
  void SetMax(int64_t max) { max_ = max; }

  int64_t max() const { return max_; }
  int64_t used() const { return used_; }
  int64_t UsedBy(const std::string& tenant) const;
  // Tenants that have some, or have asked lately; one at least.
  int64_t TenantsAsking(MonotonicTime now);

 private:
  struct Tenant {
    int64_t used = 0;
    MonotonicTime asked = {};  // last
  };

  // Drops tenants that have nothing and have not asked lately.
  void Forget(MonotonicTime now);

  int64_t max_;
  int64_t used_ = 0;
  std::map<std::string, Tenant> tenants_;
  MonotonicTime forgot_at_ = {};
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_FAIR_BOUND_H_
