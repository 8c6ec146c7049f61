#include "services/worker/server/watch_hub.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/base/monotonic_clock.h"

namespace tandem {
namespace {

absl::Status Ended() { return Draining("the worker is shutting down"); }

bool LoadMoved(const v1::ModelLoad& last, const v1::ModelLoad& now) {
  if (last.streams_open() != now.streams_open() ||
      last.requests_pending() != now.requests_pending() ||
      last.streams_queued() != now.streams_queued() ||
      last.kv_pages_free() != now.kv_pages_free() ||
      last.kv_pages_cached() != now.kv_pages_cached() ||
      last.kv_pages_total() != now.kv_pages_total() ||
      last.step_costs_size() != now.step_costs_size()) {
    return true;
  }
  if (std::abs(now.sequences_per_step() - last.sequences_per_step()) >
      kStepCostNews * last.sequences_per_step()) {
    return true;
  }
  for (int i = 0; i < now.step_costs_size(); ++i) {
    const double was = static_cast<double>(last.step_costs(i).step_us());
    const double is = static_cast<double>(now.step_costs(i).step_us());
    if (last.step_costs(i).rows() != now.step_costs(i).rows() ||
        std::abs(is - was) > kStepCostNews * was) {
      return true;
    }
  }
  return false;
}

}  // namespace

bool IsNews(const v1::WatchResponse& last, const v1::WatchResponse& now) {
  if (last.draining() != now.draining() ||
      last.models_generation() != now.models_generation() ||
      last.models_size() != now.models_size()) {
    return true;
  }
  for (int i = 0; i < now.models_size(); ++i) {
    if (LoadMoved(last.models(i), now.models(i))) return true;
  }
  return false;
}

WatchHub::WatchHub(std::function<v1::WatchResponse()> report)
    : report_(std::move(report)) {}

absl::Status WatchHub::Serve(Writer* writer,
                             absl::FunctionRef<bool()> is_cancelled) {
  {
    absl::MutexLock lock(&mutex_);
    if (ended_) return Ended();
    if (watchers_ == kWatchersMax) {
      return Exhausted("the worker has too many watchers; try again later");
    }
    ++watchers_;
  }
  v1::WatchResponse last;
  absl::Time sent = absl::InfinitePast();
  uint64_t seen = 0;
  bool is_open = true;  // as far as the peer is concerned
  do {
    if (is_cancelled()) {
      is_open = false;
      break;
    }
    const v1::WatchResponse now = report_();
    if (MonotonicNow() < sent + kWatchIntervalMax && !IsNews(last, now))
      continue;
    is_open = writer->Write(now);
    last = now;
    sent = MonotonicNow();
  } while (is_open && Wait(sent, &seen));
  absl::MutexLock lock(&mutex_);
  --watchers_;
  return is_open ? Ended() : absl::CancelledError("the peer is gone");
}

bool WatchHub::Wait(absl::Time sent, uint64_t* seen) {
  const auto awake = [this, seen]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return ended_ || changes_ != *seen;
  };
  absl::MutexLock lock(&mutex_);
  const auto ended = [this]()
                         ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return ended_; };
  end_.Await(&mutex_, MonotonicNow() + kWatchIntervalMin, ended);
  changed_.Await(
      &mutex_,
      std::min(sent + kWatchIntervalMax, MonotonicNow() + kWatchCancelCheck),
      awake);
  *seen = changes_;
  return !ended_;
}

void WatchHub::MarkChanged() {
  absl::MutexLock lock(&mutex_);
  ++changes_;
  changed_.Notify();
}

void WatchHub::EndAll() {
  absl::MutexLock lock(&mutex_);
  ended_ = true;
  end_.Notify();
  changed_.Notify();
}

}  // namespace tandem
