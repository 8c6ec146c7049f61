#include "services/coordinator/turn/load_tracker.h"

#include <algorithm>

namespace tandem {
namespace {

int64_t PagesOf(const WorkerLoad& load, int64_t tokens) {
  if (load.kv_page_tokens <= 0) return 0;
  return (tokens + load.kv_page_tokens - 1) / load.kv_page_tokens;
}

}  // namespace

bool HasRoom(const WorkerLoad& load, Position tokens_max) {
  if (load.kv_pages_total <= 0) return true;
  return load.streams_queued == 0 &&
         load.kv_pages_free >= PagesOf(load, tokens_max);
}

void LoadTracker::OnReport(const WorkerLoad& report) {
  const absl::MutexLock lock(&mutex_);
  report_ = report;
  own_at_report_ = own_streams_;
  tokens_since_report_ = 0;
}

void LoadTracker::OnOpened(Position tokens_max) {
  const absl::MutexLock lock(&mutex_);
  ++own_streams_;
  tokens_since_report_ += tokens_max;
}

void LoadTracker::OnClosed() {
  const absl::MutexLock lock(&mutex_);
  --own_streams_;
}

WorkerLoad LoadTracker::load() const {
  const absl::MutexLock lock(&mutex_);
  WorkerLoad load = report_;
  load.streams =
      std::max(own_streams_, report_.streams + own_streams_ - own_at_report_);
  load.kv_pages_free = std::max<int64_t>(
      0, report_.kv_pages_free - PagesOf(report_, tokens_since_report_));
  return load;
}

int LoadTracker::own_streams() const {
  const absl::MutexLock lock(&mutex_);
  return own_streams_;
}

}  // namespace tandem
