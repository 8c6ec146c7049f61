// The store in a database: turns what is asked into SQL, and gives it to its
// commit threads. Each session has one of these, so that what is asked of it
// stays in order. Owned as StateStore says.

#ifndef TANDEM_SERVICES_COORDINATOR_STORE_SQL_STATE_STORE_H_
#define TANDEM_SERVICES_COORDINATOR_STORE_SQL_STATE_STORE_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "services/coordinator/store/commit_thread.h"
#include "services/coordinator/store/sql_connection.h"
#include "services/coordinator/store/sql_operations.h"
#include "services/coordinator/store/state_store.h"
#include "services/coordinator/store/store_clock.h"

namespace tandem {

class SqlStateStore final : public StateStore {
 public:
  // One thread for each connection, at least one. They have the schema's last
  // version.
  SqlStateStore(std::vector<std::unique_ptr<SqlConnection>> connections,
                const StoreLimits& limits);

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
  void Post(std::unique_ptr<SqlOperation> operation, CommitTime time,
            size_t bytes);

  const StoreClock clock_;
  const SqlStatement select_epochs_;
  std::vector<std::unique_ptr<CommitThread>> threads_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_STORE_SQL_STATE_STORE_H_
