#include "services/worker/schedule/fair_share.h"

#include <algorithm>
#include <limits>

#include "engine/base/check.h"

namespace tandem {

template <typename Key>
int64_t FairShare::Ledger<Key>::Enter(const Key& key) const {
  const auto found = served.find(key);
  return found == served.end() ? level : std::max(level, found->second);
}

template <typename Key>
void FairShare::Ledger<Key>::Settle(int64_t new_level) {
  level = new_level;
  std::erase_if(served,
                [this](const auto& entry) { return entry.second <= level; });
}

bool FairShare::IsAfter(const Candidate& a, const Candidate& b) {
  return a.served != b.served ? a.served > b.served : a.order > b.order;
}

void FairShare::Divide(absl::Span<const RowClaim> claims,
                       const RowSupply& supply, std::vector<int>* grants) {
  TANDEM_CHECK(supply.portion >= 1);
  grants->assign(claims.size(), 0);
  int64_t wanted = 0;
  for (const RowClaim& claim : claims) wanted += claim.rows;
  if (wanted <= supply.rows) {
    for (size_t i = 0; i < claims.size(); ++i) (*grants)[i] = claims[i].rows;
    tenants_ = {};
    sessions_.clear();
    return;
  }
  Gather(claims);
  RowSupply left = supply;
  while (left.rows > 0) left.rows -= Serve(claims, left, grants);
  SettleAccounts(claims);
}

void FairShare::Gather(absl::Span<const RowClaim> claims) {
  gathered_.clear();
  heap_.clear();
  std::map<absl::string_view, size_t> places;
  for (size_t i = 0; i < claims.size(); ++i) {
    if (claims[i].rows == 0) continue;
    const auto [place, is_new] =
        places.try_emplace(claims[i].tenant, gathered_.size());
    if (is_new) {
      const std::string name(claims[i].tenant);
      gathered_.push_back(
          {.name = name, .served = tenants_.Enter(name), .heap = {}});
      heap_.push_back({.served = gathered_.back().served,
                       .order = place->second,
                       .index = place->second});
    }
    Tenant& tenant = gathered_[place->second];
    tenant.heap.push_back({.served = sessions_[tenant.name].Enter(claims[i].id),
                           .order = claims[i].id,
                           .index = i});
  }
  std::make_heap(heap_.begin(), heap_.end(), IsAfter);
  for (Tenant& tenant : gathered_) {
    std::make_heap(tenant.heap.begin(), tenant.heap.end(), IsAfter);
  }
}

int FairShare::Serve(absl::Span<const RowClaim> claims, const RowSupply& supply,
                     std::vector<int>* grants) {
  TANDEM_CHECK(!heap_.empty());  // more is wanted than there is
  std::pop_heap(heap_.begin(), heap_.end(), IsAfter);
  Candidate& next_tenant = heap_.back();
  Tenant& tenant = gathered_[next_tenant.index];
  std::pop_heap(tenant.heap.begin(), tenant.heap.end(), IsAfter);
  Candidate& next_session = tenant.heap.back();
  const RowClaim& claim = claims[next_session.index];
  int& granted = (*grants)[next_session.index];

  const int rows =
      std::min({supply.rows, supply.portion, claim.rows - granted});
  granted += rows;
  next_session.served += rows;
  tenant.served += rows;
  next_tenant.served = tenant.served;
  sessions_[tenant.name].served[claim.id] = next_session.served;
  tenants_.served[tenant.name] = tenant.served;

  if (granted == claim.rows) {
    tenant.heap.pop_back();
  } else {
    std::push_heap(tenant.heap.begin(), tenant.heap.end(), IsAfter);
  }
  if (tenant.heap.empty()) {
    heap_.pop_back();
  } else {
    std::push_heap(heap_.begin(), heap_.end(), IsAfter);
  }
  return rows;
}

void FairShare::SettleAccounts(absl::Span<const RowClaim> claims) {
  // The heaps hold what goes short, the least served in front.
  tenants_.Settle(heap_.front().served);
  for (const Tenant& tenant : gathered_) {
    if (tenant.heap.empty()) {
      sessions_.erase(tenant.name);
    } else {
      sessions_[tenant.name].Settle(tenant.heap.front().served);
    }
  }
  // Tenants without a claim keep no sessions' accounts.
  std::map<absl::string_view, bool> has_claim;
  for (const RowClaim& claim : claims) has_claim[claim.tenant] = true;
  std::erase_if(sessions_, [&has_claim](const auto& entry) {
    return has_claim.count(entry.first) == 0;
  });
}

}  // namespace tandem
