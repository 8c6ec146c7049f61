#include "services/coordinator/store/commit_thread.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"

namespace tandem {
namespace {

// Between two tries to connect: doubled each time, half of it by chance, so
// that coordinators do not come back all at once.
constexpr absl::Duration kBackoffMin = absl::Milliseconds(100);
constexpr absl::Duration kBackoffMax = absl::Seconds(2);
// A group that others' transactions have undone is run again as often as this
// at once. Sessions are locked in one order, so it is rare.
constexpr int kAbortsMax = 5;

absl::Duration WithChance(absl::Duration duration) {
  thread_local std::minstd_rand random(std::random_device{}());
  return duration * std::uniform_real_distribution<double>(0.5, 1)(random);
}

}  // namespace

CommitThread::CommitThread(std::unique_ptr<SqlConnection> connection,
                           const StoreLimits& limits)
    : limits_(limits),
      connection_(std::move(connection)),
      backoff_(kBackoffMin),
      thread_([this] { Run(); }) {}

CommitThread::~CommitThread() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  changed_.Notify();
  thread_.join();
}

void CommitThread::Post(std::unique_ptr<SqlOperation> operation,
                        CommitTime time, size_t bytes) {
  bool has_room = false;
  {
    absl::MutexLock lock(&mutex_);
    has_room = queue_.size() < kWaitingOperationsMax &&
               bytes_ + bytes <= kWaitingBytesMax;
    if (has_room) {
      bytes_ += bytes;
      if (time == CommitTime::kNow) ++urgent_;
      queue_.push_back({.operation = std::move(operation),
                        .time = time,
                        .bytes = bytes,
                        .since = MonotonicNow()});
    }
  }
  if (!has_room) {
    operation->OnFailed(absl::ResourceExhaustedError(
        "too many changes wait for the store; try later"));
    return;
  }
  changed_.Notify();
}

void CommitThread::Run() {
  for (Group group = NextGroup(); !group.empty(); group = NextGroup()) {
    Commit(std::move(group));
  }
}

bool CommitThread::IsDue() const {
  return stopping_ || urgent_ > 0 || queue_.size() >= kGroupOperationsMax;
}

CommitThread::Group CommitThread::NextGroup() {
  const auto is_due = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return IsDue();
  };
  absl::MutexLock lock(&mutex_);
  changed_.Await(&mutex_, absl::InfiniteFuture(),
                 [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
                   return stopping_ || !queue_.empty();
                 });
  if (!queue_.empty()) {
    changed_.Await(&mutex_, queue_.front().since + limits_.write_behind,
                   is_due);
  }
  Group group;
  size_t bytes = 0;
  while (!queue_.empty() && group.size() < kGroupOperationsMax &&
         (group.empty() || bytes + queue_.front().bytes <= kGroupBytesMax)) {
    const bool is_single = queue_.front().operation->session_id().empty();
    if (is_single && !group.empty()) break;
    bytes += queue_.front().bytes;
    group.push_back(TakeFirst());
    if (is_single) break;
  }
  return group;
}

CommitThread::Waiting CommitThread::TakeFirst() {
  Waiting first = std::move(queue_.front());
  queue_.pop_front();
  bytes_ -= first.bytes;
  if (first.time == CommitTime::kNow) --urgent_;
  return first;
}

void CommitThread::Commit(Group group) {
  // One order of locks in all transactions, so that none waits for another in
  // a circle; operations of one session keep theirs.
  std::stable_sort(
      group.begin(), group.end(), [](const Waiting& a, const Waiting& b) {
        return a.operation->session_id() < b.operation->session_id();
      });
  for (int aborts = 0; !group.empty();) {
    std::vector<SqlCall> calls;
    for (Waiting& waiting : group) {
      std::vector<SqlCall> more = waiting.operation->Calls();
      waiting.calls = more.size();
      calls.insert(calls.end(), std::make_move_iterator(more.begin()),
                   std::make_move_iterator(more.end()));
    }
    if (const absl::Status opened = connection_->Open(); !opened.ok()) {
      // Also where it is there and refuses: an operator may mend that.
      Reconnect(absl::UnavailableError(opened.message()), &group);
      continue;
    }
    const absl::StatusOr<std::vector<SqlResult>> results =
        connection_->Run(calls);
    if (results.ok()) return Finish(std::move(group), *results);
    const absl::Status& status = results.status();
    if (absl::IsAborted(status) && ++aborts <= kAbortsMax) continue;
    if (absl::IsUnavailable(status)) {
      Reconnect(status, &group);
    } else if (group.size() > 1) {
      // One of them is at fault; the others go on.
      for (Waiting& waiting : group) {
        Group single;
        single.push_back(std::move(waiting));
        Commit(std::move(single));
      }
      return;
    } else {
      group[0].operation->OnFailed(
          absl::IsAborted(status) ? absl::UnavailableError(status.message())
                                  : status);
      return;
    }
  }
}

void CommitThread::Finish(Group group, absl::Span<const SqlResult> results) {
  if (backoff_ != kBackoffMin) {
    backoff_ = kBackoffMin;
    spdlog::info("the store is back");
  }
  Group again;
  for (Waiting& waiting : group) {
    TANDEM_CHECK(waiting.calls <= results.size());
    const absl::Span<const SqlResult> own = results.first(waiting.calls);
    results.remove_prefix(waiting.calls);
    if (!waiting.operation->OnCommitted(own)) {
      again.push_back(std::move(waiting));
    }
  }
  absl::MutexLock lock(&mutex_);
  for (auto waiting = again.rbegin(); waiting != again.rend(); ++waiting) {
    waiting->time = CommitTime::kNow;
    ++urgent_;
    bytes_ += waiting->bytes;
    queue_.push_front(std::move(*waiting));
  }
}

void CommitThread::Reconnect(const absl::Status& why, Group* group) {
  if (backoff_ == kBackoffMin) {
    spdlog::warn("the store is away: {}", std::string(why.message()));
  }
  const absl::Time next_try = MonotonicNow() + WithChance(backoff_);
  backoff_ = std::min(2 * backoff_, kBackoffMax);
  FailOverdue(why, group);
  while (!group->empty()) {
    absl::Time wake = next_try;
    {
      absl::MutexLock lock(&mutex_);
      for (const Waiting& waiting : *group) {
        wake = std::min(wake, waiting.since + limits_.patience);
      }
      if (!queue_.empty()) {
        wake = std::min(wake, queue_.front().since + limits_.patience);
      }
      changed_.Await(
          &mutex_, wake,
          [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopping_; });
    }
    FailOverdue(why, group);
    if (MonotonicNow() >= next_try) return;
  }
}

void CommitThread::FailOverdue(const absl::Status& why, Group* group) {
  Group overdue;
  {
    absl::MutexLock lock(&mutex_);
    const absl::Time posted_before =
        stopping_ ? absl::InfiniteFuture() : MonotonicNow() - limits_.patience;
    const auto is_overdue = [posted_before](const Waiting& waiting) {
      return waiting.since <= posted_before;
    };
    const auto kept = std::stable_partition(
        group->begin(), group->end(),
        [&](const Waiting& waiting) { return !is_overdue(waiting); });
    std::move(kept, group->end(), std::back_inserter(overdue));
    group->erase(kept, group->end());
    while (!queue_.empty() && is_overdue(queue_.front())) {
      overdue.push_back(TakeFirst());
    }
  }
  for (Waiting& waiting : overdue) waiting.operation->OnFailed(why);
}

}  // namespace tandem
