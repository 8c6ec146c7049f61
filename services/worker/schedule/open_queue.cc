#include "services/worker/schedule/open_queue.h"

#include <algorithm>

#include "engine/base/check.h"

namespace tandem {

void OpenQueue::Push(QueuedOpen open) {
  std::deque<uint64_t>& line = lines_[open.tenant];
  if (line.empty()) turns_.push_back(open.tenant);
  line.push_back(open.id);
  expiries_.insert({open.until, open.id});
  const uint64_t id = open.id;
  TANDEM_CHECK(waiting_.try_emplace(id, std::move(open)).second);
}

std::optional<uint64_t> OpenQueue::Head() const {
  if (turns_.empty()) return std::nullopt;
  return lines_.find(turns_.front())->second.front();
}

void OpenQueue::PopHead() {
  TANDEM_CHECK(!turns_.empty());
  const std::string tenant = turns_.front();
  turns_.pop_front();
  const auto line = lines_.find(tenant);
  Forget(line->second.front());
  line->second.pop_front();
  if (line->second.empty()) {
    lines_.erase(line);
  } else {
    turns_.push_back(tenant);
  }
}

void OpenQueue::Remove(uint64_t id) {
  const auto found = waiting_.find(id);
  if (found == waiting_.end()) return;
  const auto line = lines_.find(found->second.tenant);
  line->second.erase(std::find(line->second.begin(), line->second.end(), id));
  if (line->second.empty()) {
    turns_.erase(std::find(turns_.begin(), turns_.end(), line->first));
    lines_.erase(line);
  }
  Forget(id);
}

std::vector<uint64_t> OpenQueue::TakeExpired(absl::Time now) {
  std::vector<uint64_t> expired;
  while (NextExpiry() <= now) {
    expired.push_back(expiries_.begin()->second);
    Remove(expired.back());
  }
  return expired;
}

absl::Time OpenQueue::NextExpiry() const {
  return expiries_.empty() ? absl::InfiniteFuture() : expiries_.begin()->first;
}

void OpenQueue::Forget(uint64_t id) {
  const auto found = waiting_.find(id);
  expiries_.erase({found->second.until, id});
  waiting_.erase(found);
}

}  // namespace tandem
