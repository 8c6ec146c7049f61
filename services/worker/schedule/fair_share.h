// Who gets how many of a pass's rows: fair over passes, between tenants first
// and then between the sessions of each. Owned by the batch planner; one
// thread; no clock.
//
// Rows go to the tenant that was served least among those whose claims are not
// met. Its sessions take turns in the order of their ids: each gets a whole
// portion, if need be over several passes, before the next one. What a tenant
// was served counts as long as some tenant goes short: a pass that has rows for
// all closes all accounts. A tenant that had all it wanted in a pass gets no
// credit for the rest of its share, and a new tenant begins at the level of
// those that go short; what a tenant was served above that level is kept while
// the tenant is away. So the served rows of two tenants that go short all the
// time differ by a portion at most, whatever the others do.

#ifndef TANDEM_SERVICES_WORKER_SCHEDULE_FAIR_SHARE_H_
#define TANDEM_SERVICES_WORKER_SCHEDULE_FAIR_SHARE_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tandem {

// What one session could use in the next pass.
struct RowClaim {
  uint64_t id = 0;  // each once
  absl::string_view tenant;
  int rows = 0;     // 0: nothing
  int granted = 0;  // by Divide: 0 .. rows
};

struct RowSupply {
  int rows = 0;
  // Rows that a session gets at a time, 1 or more; a claim is met in part
  // where the rows or its portion end.
  int portion = 1;
};

class FairShare {
 public:
  // Divides `supply` among `claims`; returns the rows that were granted:
  // supply.rows, or all that was claimed.
  int Divide(absl::Span<RowClaim> claims, const RowSupply& supply);

 private:
  struct Account {
    int64_t served = 0;    // rows
    uint64_t session = 0;  // that had the last turn
    int left = 0;          // rows of its portion that it has not had yet
  };
  // A tenant whose claims are not all met: those that are not, by session.
  struct Line {
    Account* account = nullptr;
    std::map<uint64_t, RowClaim*> open;
  };

  std::map<std::string, Line> Gather(absl::Span<RowClaim> claims);

  std::map<std::string, Account> accounts_;  // by tenant
  int64_t level_ = 0;  // rows of the least served tenant that went short
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SCHEDULE_FAIR_SHARE_H_
