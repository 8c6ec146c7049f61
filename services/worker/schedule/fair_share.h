// Who gets how many of a pass's rows: fair over passes, between tenants first
// and then between the sessions of each. Owned by the batch planner; one
// thread; no clock.
//
// Rows go in portions to the tenant that was served least among those with
// work left, and there to its session that was served least. What was served
// counts as long as somebody goes short: in a pass that has rows for everybody
// all accounts are closed. Who had all it wanted in a pass gets no credit for
// the rest of its share, and who comes new begins at the level of those who
// wait; what somebody was served above that level is kept while it is away. So
// of tenants that go short all the time the served rows differ by a portion at
// most, whatever the others do.

#ifndef TANDEM_SERVICES_WORKER_SCHEDULE_FAIR_SHARE_H_
#define TANDEM_SERVICES_WORKER_SCHEDULE_FAIR_SHARE_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace tandem {

// What one session could use in the next pass.
struct RowClaim {
  uint64_t id = 0;  // each once
  absl::string_view tenant;
  int rows = 0;  // 0: nothing
};

struct RowSupply {
  int rows = 0;
  // Rows that a session gets at a time, 1 or more; a claim is met in part
  // where the rows or its portion end.
  int portion = 1;
};

class FairShare {
 public:
  // Divides `supply` among `claims`: grants[i] of 0 .. claims[i].rows, in all
  // supply.rows, or all that was claimed.
  void Divide(absl::Span<const RowClaim> claims, const RowSupply& supply,
              std::vector<int>* grants);

 private:
  // What was served above the level of those who go short.
  template <typename Key>
  struct Ledger {
    std::map<Key, int64_t> served;
    int64_t level = 0;

    int64_t Enter(const Key& key) const;
    // Who is at the level is like new.
    void Settle(int64_t new_level);
  };
  struct Candidate {
    int64_t served = 0;
    uint64_t order = 0;  // the lower comes first among equals
    size_t index = 0;    // of a tenant, or of a claim
  };
  struct Tenant {
    std::string name;
    int64_t served = 0;
    std::vector<Candidate> heap;  // its claims that are not met
  };
  static bool IsAfter(const Candidate& a, const Candidate& b);

  void Gather(absl::Span<const RowClaim> claims);
  // Gives the tenant one portion; returns its rows.
  int Serve(absl::Span<const RowClaim> claims, const RowSupply& supply,
            std::vector<int>* grants);
  void SettleAccounts(absl::Span<const RowClaim> claims);

  Ledger<std::string> tenants_;
  std::map<std::string, Ledger<uint64_t>> sessions_;  // by tenant

  // Of one Divide.
  std::vector<Tenant> gathered_;
  std::vector<Candidate> heap_;  // tenants with claims that are not met
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_WORKER_SCHEDULE_FAIR_SHARE_H_
