// What tests of stores share: a store of each kind, with its file or database,
// and calls that wait for their answer. Used by one thread.

#ifndef TANDEM_TESTS_SERVICES_COORDINATOR_STORE_STORE_FIXTURE_H_
#define TANDEM_TESTS_SERVICES_COORDINATOR_STORE_STORE_FIXTURE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"
#include "services/coordinator/store/sql_connection.h"
#include "services/coordinator/store/state_store.h"

namespace tandem::testing {

// Calls `start` with a callback, and returns what that was called with.
template <typename Start>
absl::Status AwaitStatus(Start start) {
  absl::Status result;
  absl::Notification called;
  start(StateStore::Committed([&](absl::Status status) {
    result = std::move(status);
    called.Notify();
  }));
  called.WaitForNotification();
  return result;
}

template <typename Value, typename Start>
absl::StatusOr<Value> AwaitValue(Start start) {
  absl::StatusOr<Value> result = absl::UnknownError("not called");
  absl::Notification called;
  start(StateStore::Answer<Value>([&](absl::StatusOr<Value> value) {
    result = std::move(value);
    called.Notify();
  }));
  called.WaitForNotification();
  return result;
}

// The calls of a store, each until its answer.
absl::Status Begin(StateStore* store, TurnBegin begin);
absl::Status Add(StateStore* store, TurnTokens tokens);
absl::Status End(StateStore* store, TurnEnd end);
absl::StatusOr<StoredSession> TakeOver(StateStore* store,
                                       const std::string& session_id,
                                       const std::string& tenant = "alice");
absl::StatusOr<StoredSession> Load(StateStore* store,
                                   const std::string& session_id);
absl::StatusOr<std::vector<std::string>> FindLost(
    StateStore* store, std::vector<HeldSession> held);
absl::StatusOr<std::vector<SessionSummary>> List(StateStore* store,
                                                 SessionsOf which = {},
                                                 const std::string& after = "");
absl::Status Delete(StateStore* store, const std::string& session_id,
                    SessionsOf which = {});
absl::StatusOr<int64_t> Prune(StateStore* store, const Retention& retention);

// Session `number`'s id.
std::string IdOf(int64_t number);
// What begins turn `key.turn`: with the session where it is the first one.
TurnBegin BeginOf(const TurnKey& key);

enum class StoreKind { kMemory, kSqlite, kPostgres };
std::string KindName(StoreKind kind);

// A file or a database, and the store in it.
class StoreHome {
 public:
  explicit StoreHome(StoreKind kind);
  ~StoreHome();

  StoreHome(const StoreHome&) = delete;
  StoreHome& operator=(const StoreHome&) = delete;

  absl::StatusOr<std::unique_ptr<StateStore>> Open(
      const StoreLimits& limits = {}) const;
  // An open connection to what the store is in; not of a store in memory.
  std::unique_ptr<SqlConnection> Connect() const;

  const std::string& folder() const { return folder_; }    // of kSqlite
  std::string file() const;                                // of kSqlite
  const std::string& address() const { return address_; }  // of kPostgres

 private:
  const StoreKind kind_;
  std::string folder_;
  std::string address_;
};

}  // namespace tandem::testing

#endif  // TANDEM_TESTS_SERVICES_COORDINATOR_STORE_STORE_FIXTURE_H_
