// absl::Mutex, CondVar and Notification made of std::mutex, for the
// ThreadSanitizer build only.
//
// Debian's Abseil is built without ThreadSanitizer, which then does not see
// that a Mutex orders anything and reports every guarded access as a race. The
// definitions here come before those of the shared library, for all code of the
// process, and what they call is intercepted. Readers lock like writers. State
// that belongs to an object is found by its address.

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace {

struct State {
  std::mutex mutex;
  std::condition_variable changed;  // a waiter's condition may hold now
};

struct Table {
  std::mutex mutex;
  std::unordered_map<const void*, std::unique_ptr<State>> states;
};

// Never destroyed: static mutexes outlive it otherwise.
Table& States() {
  static Table* const table = new Table;
  return *table;
}

State* StateOf(const void* object) {
  Table& table = States();
  const std::lock_guard<std::mutex> lock(table.mutex);
  std::unique_ptr<State>& state = table.states[object];
  if (state == nullptr) state = std::make_unique<State>();
  return state.get();
}

void Forget(const void* object) {
  Table& table = States();
  const std::lock_guard<std::mutex> lock(table.mutex);
  table.states.erase(object);
}

// Until `condition` or the deadline; the lock is held before and after. A state
// that no one signals (a condition on time) is looked at every millisecond.
template <typename Condition>
bool WaitUntil(State* state, absl::Time deadline, const Condition& condition) {
  std::unique_lock<std::mutex> lock(state->mutex, std::adopt_lock);
  bool holds = condition();
  while (!holds && absl::Now() < deadline) {
    state->changed.wait_until(
        lock, std::chrono::system_clock::now() + std::chrono::milliseconds(1));
    holds = condition();
  }
  lock.release();
  return holds;
}

absl::Time After(absl::Duration timeout) { return absl::Now() + timeout; }

}  // namespace

namespace absl {
ABSL_NAMESPACE_BEGIN

Mutex::~Mutex() { Forget(this); }
void Mutex::Lock() { StateOf(this)->mutex.lock(); }
bool Mutex::TryLock() { return StateOf(this)->mutex.try_lock(); }
void Mutex::Unlock() {
  State* const state = StateOf(this);
  state->changed.notify_all();
  state->mutex.unlock();
}
void Mutex::ReaderLock() { Lock(); }
bool Mutex::ReaderTryLock() { return TryLock(); }
void Mutex::ReaderUnlock() { Unlock(); }
void Mutex::AssertHeld() const {}
void Mutex::AssertReaderHeld() const {}
void Mutex::AssertNotHeld() const {}

void Mutex::Await(const Condition& condition) {
  AwaitWithDeadline(condition, InfiniteFuture());
}
bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  return AwaitWithDeadline(condition, After(timeout));
}
bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  return WaitUntil(StateOf(this), deadline,
                   [&condition] { return condition.Eval(); });
}
void Mutex::LockWhen(const Condition& condition) {
  Lock();
  Await(condition);
}
bool Mutex::LockWhenWithTimeout(const Condition& condition, Duration timeout) {
  return LockWhenWithDeadline(condition, After(timeout));
}
bool Mutex::LockWhenWithDeadline(const Condition& condition, Time deadline) {
  Lock();
  return AwaitWithDeadline(condition, deadline);
}
void Mutex::ReaderLockWhen(const Condition& condition) { LockWhen(condition); }
bool Mutex::ReaderLockWhenWithTimeout(const Condition& condition,
                                      Duration timeout) {
  return LockWhenWithTimeout(condition, timeout);
}
bool Mutex::ReaderLockWhenWithDeadline(const Condition& condition,
                                       Time deadline) {
  return LockWhenWithDeadline(condition, deadline);
}

CondVar::~CondVar() { Forget(this); }
void CondVar::Wait(Mutex* mutex) { WaitWithDeadline(mutex, InfiniteFuture()); }
bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  return WaitWithDeadline(mutex, After(timeout));
}
// True on a timeout. Waking without a signal is allowed.
bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  if (Now() >= deadline) return true;
  State* const state = StateOf(mutex);
  std::unique_lock<std::mutex> lock(state->mutex, std::adopt_lock);
  state->changed.notify_all();  // the lock is given up: as Unlock does
  StateOf(this)->changed.wait_until(
      lock, std::chrono::system_clock::now() + std::chrono::milliseconds(1));
  lock.release();
  return Now() >= deadline;
}
void CondVar::Signal() { SignalAll(); }
void CondVar::SignalAll() { StateOf(this)->changed.notify_all(); }

Notification::~Notification() { MutexLock lock(&mutex_); }
void Notification::Notify() {
  MutexLock lock(&mutex_);
  notified_yet_.store(true, std::memory_order_release);
}
void Notification::WaitForNotification() const {
  WaitForNotificationWithDeadline(InfiniteFuture());
}
bool Notification::WaitForNotificationWithTimeout(Duration timeout) const {
  return WaitForNotificationWithDeadline(After(timeout));
}
bool Notification::WaitForNotificationWithDeadline(Time deadline) const {
  mutex_.Lock();
  const bool notified = WaitUntil(StateOf(&mutex_), deadline, [this] {
    return notified_yet_.load(std::memory_order_acquire);
  });
  mutex_.Unlock();
  return notified;
}

ABSL_NAMESPACE_END
}  // namespace absl
