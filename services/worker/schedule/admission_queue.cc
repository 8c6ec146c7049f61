#include "services/worker/schedule/admission_queue.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/base/check.h"

namespace tandem {
namespace {

bool EndsEarlier(const WaitingOpen& a, const WaitingOpen& b) {
  return a.until < b.until;
}

}  // namespace

void AdmissionQueue::Push(WaitingOpen open) {
  if (std::find(turns_.begin(), turns_.end(), open.tenant) == turns_.end()) {
    turns_.push_back(open.tenant);
  }
  waiting_.push_back(std::move(open));
}

std::optional<uint64_t> AdmissionQueue::Head() const {
  for (const WaitingOpen& open : waiting_) {
    if (open.tenant == turns_.front()) return open.id;
  }
  return std::nullopt;
}

void AdmissionQueue::PopHead() {
  TANDEM_CHECK(!empty());
  const std::string tenant = turns_.front();
  Remove(*Head());
  if (turns_.empty() || turns_.front() != tenant) return;
  turns_.pop_front();
  turns_.push_back(tenant);
}

void AdmissionQueue::Remove(uint64_t id) {
  const auto found =
      std::find_if(waiting_.begin(), waiting_.end(),
                   [id](const WaitingOpen& open) { return open.id == id; });
  if (found == waiting_.end()) return;
  const std::string tenant = std::move(found->tenant);
  waiting_.erase(found);
  if (std::none_of(waiting_.begin(), waiting_.end(),
                   [&tenant](const WaitingOpen& open) {
                     return open.tenant == tenant;
                   })) {
    turns_.erase(std::find(turns_.begin(), turns_.end(), tenant));
  }
}

std::vector<uint64_t> AdmissionQueue::TakeExpired(absl::Time now) {
  std::vector<uint64_t> expired;
  while (NextExpiry() <= now) {
    expired.push_back(
        std::min_element(waiting_.begin(), waiting_.end(), EndsEarlier)->id);
    Remove(expired.back());
  }
  return expired;
}

absl::Time AdmissionQueue::NextExpiry() const {
  const auto next =
      std::min_element(waiting_.begin(), waiting_.end(), EndsEarlier);
  return next == waiting_.end() ? absl::InfiniteFuture() : next->until;
}

void AdmissionQueue::BeginRates(absl::Time now) {
  pages_ = sequences_ = {.began = now, .updated = now};
}

void AdmissionQueue::OnFreed(const Vacancy& freed, absl::Time now) {
  pages_.Add(freed.pages, now);
  sequences_.Add(freed.sequences, now);
}

absl::Duration AdmissionQueue::RetryAfter(int64_t pages, const Vacancy& free,
                                          absl::Time now) const {
  int64_t pages_short = pages - free.pages;
  for (const WaitingOpen& open : waiting_) pages_short += open.pages;
  const int64_t sequences_short =
      static_cast<int64_t>(size()) + 1 - free.sequences;
  return std::max(pages_.DelayFor(pages_short, now),
                  sequences_.DelayFor(sequences_short, now));
}

double AdmissionQueue::Rate::DecayedTo(absl::Time now) const {
  const double age = absl::FDivDuration(now - updated, kRateWindow);
  return freed * std::exp(-std::max(age, 0.0));
}

void AdmissionQueue::Rate::Add(int64_t amount, absl::Time now) {
  freed = DecayedTo(now) + static_cast<double>(amount);
  updated = std::max(updated, now);
}

absl::Duration AdmissionQueue::Rate::DelayFor(int64_t amount,
                                              absl::Time now) const {
  if (amount <= 0) return kRetryAfterMin;
  const double freed_lately = DecayedTo(now);
  if (freed_lately <= 0) return kRetryAfterUnknown;
  // At a steady rate the window holds rate x kRateWindow, less the part that
  // lies before the beginning.
  const double age = absl::FDivDuration(now - began, kRateWindow);
  const double windows = std::max(1 - std::exp(-age), 1e-6);
  const absl::Duration delay =
      kRateWindow * (windows * static_cast<double>(amount) / freed_lately);
  return std::clamp(delay, kRetryAfterMin, kRetryAfterMax);
}

}  // namespace tandem
