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
  if (!turns_.empty() && turns_.front() == tenant) PassTurn();
}

void AdmissionQueue::PassTurn() {
  TANDEM_CHECK(!empty());
  turns_.push_back(std::move(turns_.front()));
  turns_.pop_front();
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
  began_ = updated_ = now;
  pages_freed_ = sequences_freed_ = 0;
}

void AdmissionQueue::OnFreed(const Vacancy& freed, absl::Time now) {
  const double decay = Decay(now);
  pages_freed_ = pages_freed_ * decay + static_cast<double>(freed.pages);
  sequences_freed_ =
      sequences_freed_ * decay + static_cast<double>(freed.sequences);
  updated_ = now;
}

double AdmissionQueue::Decay(absl::Time now) const {
  return std::exp(-absl::FDivDuration(now - updated_, kRateWindow));
}

absl::Duration AdmissionQueue::RetryAfter(int64_t pages, const Vacancy& free,
                                          absl::Time now) const {
  int64_t pages_short = pages - free.pages;
  for (const WaitingOpen& open : waiting_) pages_short += open.pages;
  const int64_t sequences_short =
      static_cast<int64_t>(size()) + 1 - free.sequences;
  // At a steady rate the window holds rate x kRateWindow, less the part that
  // lies before the beginning.
  const double windows = std::max(
      1 - std::exp(-absl::FDivDuration(now - began_, kRateWindow)), 1e-6);
  const auto delay = [&](int64_t missing, double freed) {
    if (missing <= 0) return kRetryAfterMin;
    if (freed <= 0) return kRetryAfterUnknown;
    return std::clamp(kRateWindow * (windows * static_cast<double>(missing) /
                                     (freed * Decay(now))),
                      kRetryAfterMin, kRetryAfterMax);
  };
  return std::max(delay(pages_short, pages_freed_),
                  delay(sequences_short, sequences_freed_));
}

}  // namespace tandem
