// What the calls of a StateStore are in SQL: which statements each one commits,
// and what their results mean. Made by SqlStateStore, then a commit thread's.

#ifndef TANDEM_SERVICES_COORDINATOR_STORE_SQL_OPERATIONS_H_
#define TANDEM_SERVICES_COORDINATOR_STORE_SQL_OPERATIONS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "services/coordinator/store/commit_thread.h"
#include "services/coordinator/store/sql_connection.h"
#include "services/coordinator/store/state_store.h"

namespace tandem {

// Times of use are stored to the minute, so that most checkpoints change no
// index.
int64_t UsedAt(absl::Time now);

std::unique_ptr<SqlOperation> MakeBeginTurn(TurnBegin begin, absl::Time now,
                                            StateStore::Committed done);
std::unique_ptr<SqlOperation> MakeAddTokens(TurnTokens tokens, absl::Time now,
                                            StateStore::Committed done);
std::unique_ptr<SqlOperation> MakeEndTurn(TurnEnd end, absl::Time now,
                                          StateStore::Committed done);
std::unique_ptr<SqlOperation> MakeTakeOver(
    std::string session_id, std::string tenant, absl::Time now,
    StateStore::Answer<StoredSession> done);
// `select`: the dialect's select_epochs.
std::unique_ptr<SqlOperation> MakeFindLost(
    const SqlStatement* select, std::vector<HeldSession> held,
    StateStore::Answer<std::vector<std::string>> done);
std::unique_ptr<SqlOperation> MakeLoad(std::string session_id,
                                       StateStore::Answer<StoredSession> done);
std::unique_ptr<SqlOperation> MakeList(
    SessionsOf which, std::string after,
    StateStore::Answer<std::vector<SessionSummary>> done);
std::unique_ptr<SqlOperation> MakeDelete(SessionsOf which,
                                         std::string session_id,
                                         StateStore::Committed done);
std::unique_ptr<SqlOperation> MakePrune(Retention retention, absl::Time now,
                                        StateStore::Answer<int64_t> done);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_STORE_SQL_OPERATIONS_H_
