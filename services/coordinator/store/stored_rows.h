// Records as rows and back: the calls that write a record, with its checksum,
// and the records that rows hold, whose checksums are compared. Pure; any
// thread.

#ifndef TANDEM_SERVICES_COORDINATOR_STORE_STORED_ROWS_H_
#define TANDEM_SERVICES_COORDINATOR_STORE_STORED_ROWS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "services/coordinator/store/sql_connection.h"
#include "services/coordinator/store/state_store.h"

namespace tandem {

// The row that changes of a session: who drives it.
struct DriverRow {
  std::string session_id = {};
  int64_t epoch = 0;
  int64_t turns = 0;    // number of its last turn
  int64_t used_at = 0;  // seconds since 1970, to the minute
};

SqlCall InsertSessionCall(const std::string& session_id,
                          const SessionRecord& record, int64_t created_at);
SqlCall InsertDriverCall(const DriverRow& row);
// Of the row with the same epoch.
SqlCall TouchDriverCall(const DriverRow& row);
// The epoch of `row` becomes the next one, and its time `used_at`.
SqlCall RaiseEpochCall(const DriverRow& row, int64_t used_at);
SqlCall PutTurnCall(const TurnKey& key, const TurnRecord& record);
// Of the turn that `put` takes the place of.
SqlCall DropTokensCall(const TurnKey& key, const SqlCall& put);
SqlCall PutTokensCall(const TurnTokens& tokens);
SqlCall PutEndCall(const TurnEnd& end);

// DATA_LOSS, with the session's id and the table, for a row that is damaged;
// NOT_FOUND where there is none.
absl::StatusOr<DriverRow> DriverOfRows(const SqlResult& result);

// What the rows of one session are together.
struct SessionRows {
  const SqlResult& session;
  const SqlResult& driver;
  const SqlResult& turns;
  const SqlResult& tokens;
  const SqlResult& ends;
};
// The same errors. Tokens of a turn have no gap.
absl::StatusOr<StoredSession> SessionOfRows(const SessionRows& rows);

// Whether `row` (kSelectEnds) is that end: the reason and the position.
bool IsSameEnd(absl::Span<const SqlValue> row, const TurnEnd& end);

// Of kListSessions.
std::vector<SessionSummary> SummariesOfRows(const SqlResult& result);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_STORE_STORED_ROWS_H_
