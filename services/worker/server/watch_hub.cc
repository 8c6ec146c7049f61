#include "services/worker/server/watch_hub.h"

#include <cmath>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "engine/base/check.h"
#include "services/common/status_conversion.h"

namespace tandem {
namespace {

absl::Status Ended() { return Draining("the worker is shutting down"); }

// `Load` is WatchResponse or ModelLoad.
template <typename Load>
bool LoadMoved(const Load& last, const Load& now) {
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
      last.models_size() != now.models_size() || LoadMoved(last, now)) {
    return true;
  }
  for (int i = 0; i < now.models_size(); ++i) {
    if (LoadMoved(last.models(i), now.models(i))) return true;
  }
  return false;
}

// One Watch stream. A report that could not be written yet is replaced by the
// next one, so a slow reader costs one message.
class WatchHub::Watcher final
    : public grpc::ServerWriteReactor<v1::WatchResponse> {
 public:
  explicit Watcher(WatchHub* hub) : hub_(hub) {}

  void Offer(const v1::WatchResponse& report) {
    absl::MutexLock lock(&mutex_);
    next_ = report;
    Pump();
  }

  void End(const grpc::Status& status) {
    absl::MutexLock lock(&mutex_);
    if (!end_.has_value()) end_ = status;
    Pump();
  }

  void OnWriteDone(bool ok) override {
    absl::MutexLock lock(&mutex_);
    writing_ = false;
    if (!ok && !end_.has_value()) {
      end_ = grpc::Status(grpc::StatusCode::CANCELLED, "the peer is gone");
    }
    Pump();
  }

  void OnCancel() override {
    End(grpc::Status(grpc::StatusCode::CANCELLED, "cancelled"));
  }

  void OnDone() override {
    {
      absl::MutexLock lock(&hub_->mutex_);
      hub_->watchers_.erase(this);
    }
    delete this;
  }

 private:
  ~Watcher() override = default;

  void Pump() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (writing_ || finished_) return;
    if (end_.has_value()) {
      finished_ = true;
      Finish(*end_);
    } else if (next_.has_value()) {
      response_ = *std::move(next_);
      next_.reset();
      writing_ = true;
      StartWrite(&response_);
    }
  }

  WatchHub* const hub_;
  absl::Mutex mutex_;
  std::optional<v1::WatchResponse> next_ ABSL_GUARDED_BY(mutex_);
  v1::WatchResponse response_ ABSL_GUARDED_BY(mutex_);  // being written
  std::optional<grpc::Status> end_ ABSL_GUARDED_BY(mutex_);
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

WatchHub::WatchHub(std::function<v1::WatchResponse()> report)
    : report_(std::move(report)) {
  thread_ = std::thread([this] { Run(); });
}

WatchHub::~WatchHub() {
  {
    absl::MutexLock lock(&mutex_);
    TANDEM_CHECK(watchers_.empty());
    stop_ = true;
  }
  thread_.join();
}

grpc::ServerWriteReactor<v1::WatchResponse>* WatchHub::NewWatcher() {
  auto* watcher = new Watcher(this);
  absl::MutexLock lock(&mutex_);
  if (ended_) {
    watcher->End(ToGrpcStatus(Ended()));
  } else if (watchers_.size() >= kWatchersMax) {
    watcher->End(ToGrpcStatus(
        Exhausted("the worker is watched by too many; try again later")));
  } else {
    has_new_watcher_ = true;  // the thread gives it its first report
  }
  watchers_.insert(watcher);
  return watcher;
}

void WatchHub::MarkChanged() {
  absl::MutexLock lock(&mutex_);
  changed_ = true;
}

void WatchHub::EndAll() {
  absl::MutexLock lock(&mutex_);
  ended_ = true;
  for (Watcher* watcher : watchers_) watcher->End(ToGrpcStatus(Ended()));
}

void WatchHub::Run() {
  const auto awake = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return stop_ || has_new_watcher_ || (changed_ && !watchers_.empty());
  };
  v1::WatchResponse last;
  absl::Time sent = absl::InfinitePast();
  absl::MutexLock lock(&mutex_);
  while (!stop_) {
    mutex_.AwaitWithDeadline(
        absl::Condition(&awake),
        watchers_.empty() ? absl::InfiniteFuture() : sent + kWatchIntervalMax);
    const bool is_due =
        has_new_watcher_ || absl::Now() >= sent + kWatchIntervalMax;
    has_new_watcher_ = false;
    if (stop_ || watchers_.empty()) continue;
    changed_ = false;
    mutex_.Unlock();
    const v1::WatchResponse now = report_();
    mutex_.Lock();
    if (is_due || IsNews(last, now)) {
      for (Watcher* watcher : watchers_) watcher->Offer(now);
      last = now;
      sent = absl::Now();
    }
    mutex_.AwaitWithTimeout(absl::Condition(&stop_), kWatchIntervalMin);
  }
}

}  // namespace tandem
