#include "services/worker/schedule/fair_share.h"

#include <algorithm>

#include "engine/base/check.h"

namespace tandem {

std::map<std::string, FairShare::Line> FairShare::Gather(
    absl::Span<RowClaim> claims) {
  std::map<std::string, Line> lines;
  for (RowClaim& claim : claims) {
    if (claim.rows == 0) continue;
    const std::string tenant(claim.tenant);
    Line& line = lines[tenant];
    line.account = &accounts_[tenant];
    line.account->served = std::max(line.account->served, level_);
    line.open[claim.id] = &claim;
  }
  return lines;
}

int FairShare::Divide(absl::Span<RowClaim> claims, const RowSupply& supply) {
  TANDEM_CHECK(supply.portion >= 1);
  int64_t wanted = 0;
  for (const RowClaim& claim : claims) wanted += claim.rows;
  const bool is_enough = wanted <= supply.rows;
  for (RowClaim& claim : claims) claim.granted = is_enough ? claim.rows : 0;
  if (is_enough) {
    accounts_.clear();
    level_ = 0;
    return static_cast<int>(wanted);
  }
  std::map<std::string, Line> lines = Gather(claims);
  const auto least_served = [&lines] {
    return std::min_element(
        lines.begin(), lines.end(), [](const auto& a, const auto& b) {
          return a.second.account->served < b.second.account->served;
        });
  };
  for (int rows_left = supply.rows; rows_left > 0;) {
    const auto tenant = least_served();
    auto& [account, open] = tenant->second;
    auto turn = open.find(account->session);
    if (account->left == 0 || turn == open.end()) {
      turn = open.upper_bound(account->session);
      if (turn == open.end()) turn = open.begin();
      account->session = turn->first;
      account->left = supply.portion;
    }
    RowClaim& claim = *turn->second;
    const int rows =
        std::min({rows_left, account->left, claim.rows - claim.granted});
    claim.granted += rows;
    account->left -= rows;
    account->served += rows;
    rows_left -= rows;
    if (claim.granted < claim.rows) continue;
    account->left = 0;
    open.erase(turn);
    if (open.empty()) lines.erase(tenant);
  }
  // More was wanted than there was, so some line is left.
  level_ = least_served()->second.account->served;
  std::erase_if(accounts_, [this, &lines](const auto& entry) {
    return entry.second.served <= level_ && !lines.contains(entry.first);
  });
  return supply.rows;
}

}  // namespace tandem
