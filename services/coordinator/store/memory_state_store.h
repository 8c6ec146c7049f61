// The store in memory: sessions are gone with the process. For servers that
// need no more, for tests, and for the simulation, where several coordinators
// share one. Each call is over when it returns. Owned as StateStore says.

#ifndef TANDEM_SERVICES_COORDINATOR_STORE_MEMORY_STATE_STORE_H_
#define TANDEM_SERVICES_COORDINATOR_STORE_MEMORY_STATE_STORE_H_

#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "services/coordinator/store/state_store.h"
#include "services/coordinator/store/store_clock.h"

namespace tandem {

class MemoryStateStore final : public StateStore {
 public:
  void BeginTurn(TurnBegin begin, Committed done) override;
  void AddTokens(TurnTokens tokens, Committed done) override;
  void EndTurn(TurnEnd end, Committed done) override;
  void TakeOver(std::string session_id, std::string tenant,
                Answer<StoredSession> done) override;
  void FindLost(std::vector<HeldSession> held,
                Answer<std::vector<std::string>> done) override;
  void Load(std::string session_id, Answer<StoredSession> done) override;
  void List(SessionsOf which, std::string after,
            Answer<std::vector<SessionSummary>> done) override;
  void Delete(SessionsOf which, std::string session_id,
              Committed done) override;
  void Prune(Retention retention, Answer<int64_t> done) override;

 private:
  absl::Status Begin(TurnBegin begin) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Append(const TurnTokens& tokens)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status End(const TurnEnd& end) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The session, if it is there and driven under the key's epoch.
  absl::StatusOr<StoredSession*> Driven(const TurnKey& key)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The turn of `session` that has not ended.
  static absl::StatusOr<StoredTurn*> OpenTurn(StoredSession* session,
                                              int64_t turn);

  const StoreClock clock_;
  absl::Mutex mutex_;
  std::map<std::string, StoredSession> sessions_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_STORE_MEMORY_STATE_STORE_H_
