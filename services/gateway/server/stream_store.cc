#include "services/gateway/server/stream_store.h"

#include <openssl/crypto.h>

#include <utility>

namespace tandem::gateway {
namespace {

// How late a turn may be cancelled.
constexpr absl::Duration kSweepInterval = absl::Milliseconds(500);

// About what a JSON value takes for each byte of its text.
constexpr size_t kJsonFactor = 4;

// What a stream keeps of its request.
size_t BytesOf(const ReplyFormat& format) {
  size_t bytes = kJsonFactor * WriteJson(format.repeated).size();
  if (format.echo.has_value()) bytes += format.echo->text.size();
  return bytes;
}

// In a time that depends on lengths alone.
bool IsSameKey(const std::string& a, const std::string& b) {
  return a.size() == b.size() &&
         CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

StreamStore::StreamStore(std::function<void(const StoredStream&)> cancel,
                         absl::Duration resume_time)
    : cancel_(std::move(cancel)),
      resume_time_(resume_time),
      thread_([this] { Run(); }) {}

void StreamStore::Stop() {
  if (!thread_.joinable()) return;
  {
    absl::MutexLock lock(&mutex_);
    is_ending_ = true;
    changed_.Notify();
  }
  thread_.join();
}

int64_t StreamStore::Put(StoredStream stream) {
  const std::string key =
      WriteTurnName(stream.name.session_id, stream.name.turn);
  const size_t bytes = BytesOf(stream.format);
  absl::MutexLock lock(&mutex_);
  Entry& entry = entries_[key];
  if (entry.is_left) left_bytes_ -= entry.bytes;
  entry = {.stream = std::move(stream), .number = ++numbers_, .bytes = bytes};
  return entry.number;
}

void StreamStore::Leave(const TurnName& name, int64_t number, bool has_ended) {
  const std::string key = WriteTurnName(name.session_id, name.turn);
  absl::MutexLock lock(&mutex_);
  const auto found = entries_.find(key);
  if (found == entries_.end() || found->second.number != number) return;
  found->second.has_ended = has_ended;
  found->second.is_left = true;
  found->second.stream.turn = nullptr;
  left_.emplace(MonotonicNow() + resume_time_,
                Left{.key = key, .number = number});
  left_bytes_ += found->second.bytes;
}

std::optional<StoredStream> StreamStore::Find(const TurnName& name,
                                              const std::string& api_key) {
  absl::MutexLock lock(&mutex_);
  const auto found = entries_.find(WriteTurnName(name.session_id, name.turn));
  if (found == entries_.end() ||
      !IsSameKey(found->second.stream.call.api_key, api_key)) {
    return std::nullopt;
  }
  return found->second.stream;
}

size_t StreamStore::left() const {
  absl::MutexLock lock(&mutex_);
  return left_.size();
}

std::optional<StoredStream> StreamStore::TakeDue(absl::Time now) {
  while (!left_.empty() &&
         (left_.begin()->first <= now || left_.size() > kLeftStreamsMax ||
          left_bytes_ > kLeftBytesMax)) {
    const Left left = std::move(left_.begin()->second);
    left_.erase(left_.begin());
    const auto found = entries_.find(left.key);
    // Somebody has come back to it.
    if (found == entries_.end() || found->second.number != left.number) {
      continue;
    }
    const Entry entry = std::move(found->second);
    entries_.erase(found);
    left_bytes_ -= entry.bytes;
    if (!entry.has_ended) return entry.stream;
  }
  return std::nullopt;
}

void StreamStore::Run() {
  absl::MutexLock lock(&mutex_);
  while (!is_ending_) {
    const std::optional<StoredStream> due = TakeDue(MonotonicNow());
    if (due.has_value()) {
      mutex_.Unlock();
      cancel_(*due);
      mutex_.Lock();
      continue;
    }
    changed_.Await(&mutex_, MonotonicNow() + kSweepInterval,
                   [this]()
                       ABSL_NO_THREAD_SAFETY_ANALYSIS { return is_ending_; });
  }
}

}  // namespace tandem::gateway
