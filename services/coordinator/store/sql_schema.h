// The tables of the store, their versions, and every statement that reads and
// writes them. One schema for SQLite and PostgreSQL; the README says what the
// tables hold. Constants; any thread.

#ifndef TANDEM_SERVICES_COORDINATOR_STORE_SQL_SCHEMA_H_
#define TANDEM_SERVICES_COORDINATOR_STORE_SQL_SCHEMA_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "services/coordinator/store/sql_connection.h"

namespace tandem {

// What leads from each version of the schema to the next: the first script
// makes version 1 of an empty database. Scripts only add, since coordinators of
// the version before may still run.
const std::vector<std::string>& SchemaMigrations();

// Brings the schema of an open connection to the last version of `migrations`.
// FAILED_PRECONDITION: it has a later one.
absl::Status MigrateSchema(
    SqlConnection* connection,
    const std::vector<std::string>& migrations = SchemaMigrations());

// Names of tables, as their checksums have them.
inline constexpr char kSessionsTable[] = "tandem_sessions";
inline constexpr char kDriversTable[] = "tandem_drivers";
inline constexpr char kTurnsTable[] = "tandem_turns";
inline constexpr char kTokensTable[] = "tandem_tokens";
inline constexpr char kEndsTable[] = "tandem_ends";

// Writes, in the order of the columns. All but those of a new session count
// only where the driver's row has the epoch; an update or lock of that row goes
// before them, so that nobody changes the epoch meanwhile.
extern const SqlStatement kInsertSession;
extern const SqlStatement kInsertDriver;
extern const SqlStatement kTouchDriver;
extern const SqlStatement kDropTokens;
extern const SqlStatement kPutTurn;
extern const SqlStatement kPutTokens;
extern const SqlStatement kPutEnd;
extern const SqlStatement kRaiseEpoch;

// Reads: rows have the columns of their tables, the checksum last.
extern const SqlStatement kSelectSession;
extern const SqlStatement kSelectDriver;
extern const SqlStatement kSelectTurns;
extern const SqlStatement kSelectTokens;
extern const SqlStatement kSelectEnds;
extern const SqlStatement kListSessions;
extern const SqlStatement kSelectIdle;
extern const SqlStatement kSelectOldest;
extern const SqlStatement kCountSessions;

// Deletes; the driver's row first, and the rest where that is gone.
extern const SqlStatement kDeleteDriver;
extern const SqlStatement kDeleteIdleDriver;
extern const SqlStatement kDeleteSession;
extern const SqlStatement kDeleteTurns;
extern const SqlStatement kDeleteTokens;
extern const SqlStatement kDeleteEnds;

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_STORE_SQL_SCHEMA_H_
