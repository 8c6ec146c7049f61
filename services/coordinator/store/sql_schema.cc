#include "services/coordinator/store/sql_schema.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace tandem {
namespace {

// SQLite takes any name of a type: bytes stay bytes under BYTEA.
constexpr char kVersion1[] = R"(
CREATE TABLE tandem_sessions (
  session_id TEXT NOT NULL PRIMARY KEY,
  tenant TEXT NOT NULL,
  model_id TEXT NOT NULL,
  vocabulary_fingerprint TEXT NOT NULL,
  is_one_shot BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  checksum BIGINT NOT NULL);
CREATE TABLE tandem_drivers (
  session_id TEXT NOT NULL PRIMARY KEY,
  driver_epoch BIGINT NOT NULL,
  turns BIGINT NOT NULL,
  used_at BIGINT NOT NULL,
  checksum BIGINT NOT NULL);
CREATE INDEX tandem_drivers_used_at ON tandem_drivers (used_at);
CREATE TABLE tandem_turns (
  session_id TEXT NOT NULL,
  turn BIGINT NOT NULL,
  begun_epoch BIGINT NOT NULL,
  fingerprint TEXT NOT NULL,
  prompt BYTEA NOT NULL,
  setup BYTEA NOT NULL,
  checksum BIGINT NOT NULL,
  PRIMARY KEY (session_id, turn));
CREATE TABLE tandem_tokens (
  session_id TEXT NOT NULL,
  turn BIGINT NOT NULL,
  first_token BIGINT NOT NULL,
  tokens BYTEA NOT NULL,
  elapsed_ms BIGINT NOT NULL,
  checksum BIGINT NOT NULL,
  PRIMARY KEY (session_id, turn, first_token));
CREATE TABLE tandem_ends (
  session_id TEXT NOT NULL,
  turn BIGINT NOT NULL,
  reason TEXT NOT NULL,
  end_position BIGINT NOT NULL,
  figures BYTEA NOT NULL,
  checksum BIGINT NOT NULL,
  PRIMARY KEY (session_id, turn));
)";

constexpr SqlStatement kSelectVersion = {
    "select_version", "SELECT version FROM tandem_schema", "", "i"};

absl::Status MigrateLocked(SqlConnection* connection,
                           const std::vector<std::string>& migrations) {
  TANDEM_RETURN_IF_ERROR(connection->RunScript(
      "CREATE TABLE IF NOT EXISTS tandem_schema (version BIGINT NOT NULL)"));
  const SqlCall call{.statement = &kSelectVersion};
  TANDEM_ASSIGN_OR_RETURN(const std::vector<SqlResult> results,
                          connection->Run(absl::MakeConstSpan(&call, 1)));
  const auto newest = static_cast<int64_t>(migrations.size());
  int64_t version = 0;
  if (!results[0].rows.empty()) {
    version = std::get<int64_t>(results[0].rows[0][0]);
  }
  if (version > newest || version < 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("has version ", version,
                     " of the schema, and this program knows ", newest,
                     ": run the newer version of tandem that wrote it, or name "
                     "another store"));
  }
  for (; version < newest; ++version) {
    TANDEM_RETURN_IF_ERROR(connection->RunScript(
        absl::StrCat("BEGIN;", migrations[static_cast<size_t>(version)],
                     "DELETE FROM tandem_schema;"
                     "INSERT INTO tandem_schema (version) VALUES (",
                     version + 1, ");COMMIT")));
  }
  return absl::OkStatus();
}

}  // namespace

const std::vector<std::string>& SchemaMigrations() {
  static const auto* const migrations = new std::vector<std::string>{kVersion1};
  return *migrations;
}

absl::Status MigrateSchema(SqlConnection* connection,
                           const std::vector<std::string>& migrations) {
  TANDEM_RETURN_IF_ERROR(
      connection->RunScript(connection->dialect().lock_schema));
  const absl::Status migrated = MigrateLocked(connection, migrations);
  const absl::Status unlocked =
      connection->RunScript(connection->dialect().unlock_schema);
  return migrated.ok() ? unlocked : migrated;
}

const SqlStatement kInsertSession = {
    "insert_session",
    "INSERT INTO tandem_sessions (session_id, tenant, model_id, "
    "vocabulary_fingerprint, is_one_shot, created_at, checksum) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (session_id) DO NOTHING",
    "ttttiii"};

const SqlStatement kInsertDriver = {
    "insert_driver",
    "INSERT INTO tandem_drivers (session_id, driver_epoch, turns, used_at, "
    "checksum) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (session_id) DO NOTHING",
    "tiiii"};

const SqlStatement kTouchDriver = {
    "touch_driver",
    "UPDATE tandem_drivers SET turns = $3, used_at = $4, checksum = $5 "
    "WHERE session_id = $1 AND driver_epoch = $2",
    "tiiii"};

#define TANDEM_DRIVER_HAS(epoch)                                    \
  "EXISTS (SELECT 1 FROM tandem_drivers WHERE session_id = $1 AND " \
  "driver_epoch = " epoch ")"
#define TANDEM_TURN_IS_THERE \
  "EXISTS (SELECT 1 FROM tandem_turns WHERE session_id = $1 AND turn = $2)"
#define TANDEM_TURN_IS_OVER \
  "EXISTS (SELECT 1 FROM tandem_ends WHERE session_id = $1 AND turn = $2)"

// Of another turn, $4 is the checksum of this one: a call that a connection
// held back, and that was made again meanwhile, drops nothing.
const SqlStatement kDropTokens = {
    "drop_tokens",
    "DELETE FROM tandem_tokens WHERE session_id = $1 AND turn = $2 "
    "AND " TANDEM_DRIVER_HAS("$3") " AND NOT " TANDEM_TURN_IS_OVER
                                   " AND EXISTS (SELECT 1 FROM tandem_turns "
                                   "WHERE session_id = $1 AND "
                                   "turn = $2 AND checksum <> $4)",
    "tiii"};

const SqlStatement kPutTurn = {
    "put_turn",
    "INSERT INTO tandem_turns (session_id, turn, begun_epoch, fingerprint, "
    "prompt, setup, checksum) SELECT $1, $2, $3, $4, $5, $6, $7 "
    "WHERE " TANDEM_DRIVER_HAS(
        "$3") " AND NOT " TANDEM_TURN_IS_OVER
              " ON CONFLICT (session_id, turn) DO UPDATE SET "
              "begun_epoch = excluded.begun_epoch, fingerprint = "
              "excluded.fingerprint, "
              "prompt = excluded.prompt, setup = excluded.setup, "
              "checksum = excluded.checksum",
    "tiitbbi"};

// The longer of two that begin with one token is the later one.
const SqlStatement kPutTokens = {
    "put_tokens",
    "INSERT INTO tandem_tokens (session_id, turn, first_token, tokens, "
    "elapsed_ms, checksum) SELECT $1, $2, $3, $4, $5, $6 "
    "WHERE " TANDEM_DRIVER_HAS(
        "$7") " AND " TANDEM_TURN_IS_THERE " AND NOT " TANDEM_TURN_IS_OVER
              " ON CONFLICT (session_id, turn, first_token) DO UPDATE SET "
              "tokens = excluded.tokens, elapsed_ms = excluded.elapsed_ms, "
              "checksum = excluded.checksum "
              "WHERE length(excluded.tokens) >= length(tandem_tokens.tokens)",
    "tiibiii"};

const SqlStatement kPutEnd = {
    "put_end",
    "INSERT INTO tandem_ends (session_id, turn, reason, end_position, figures, "
    "checksum) SELECT $1, $2, $3, $4, $5, $6 "
    "WHERE " TANDEM_DRIVER_HAS(
        "$7") " AND " TANDEM_TURN_IS_THERE
              " ON CONFLICT (session_id, turn) DO NOTHING",
    "titibii"};

// With the count of turns too, as the row's checksum holds both.
const SqlStatement kRaiseEpoch = {
    "raise_epoch",
    "UPDATE tandem_drivers SET driver_epoch = $4, used_at = $5, checksum = $6 "
    "WHERE session_id = $1 AND driver_epoch = $2 AND turns = $3",
    "tiiiii"};

const SqlStatement kSelectSession = {
    "select_session",
    "SELECT session_id, tenant, model_id, vocabulary_fingerprint, is_one_shot, "
    "created_at, checksum FROM tandem_sessions WHERE session_id = $1",
    "t", "ttttiii"};

const SqlStatement kSelectDriver = {
    "select_driver",
    "SELECT session_id, driver_epoch, turns, used_at, checksum "
    "FROM tandem_drivers WHERE session_id = $1",
    "t", "tiiii"};

const SqlStatement kSelectTurns = {
    "select_turns",
    "SELECT session_id, turn, begun_epoch, fingerprint, prompt, setup, "
    "checksum FROM tandem_turns WHERE session_id = $1 ORDER BY turn",
    "t", "tiitbbi"};

const SqlStatement kSelectTokens = {
    "select_tokens",
    "SELECT session_id, turn, first_token, tokens, elapsed_ms, checksum "
    "FROM tandem_tokens WHERE session_id = $1 ORDER BY turn, first_token",
    "t", "tiibii"};

const SqlStatement kSelectEnds = {
    "select_ends",
    "SELECT session_id, turn, reason, end_position, figures, checksum "
    "FROM tandem_ends WHERE session_id = $1 ORDER BY turn",
    "t", "titibi"};

// $2: of any tenant.
const SqlStatement kListSessions = {
    "list_sessions",
    "SELECT s.session_id, s.tenant, s.model_id, s.vocabulary_fingerprint, "
    "s.is_one_shot, s.created_at, s.checksum, "
    "d.session_id, d.driver_epoch, d.turns, d.used_at, d.checksum, "
    "CASE WHEN EXISTS (SELECT 1 FROM tandem_ends e WHERE "
    "e.session_id = d.session_id AND e.turn = d.turns) THEN 1 ELSE 0 END "
    "FROM tandem_sessions s "
    "JOIN tandem_drivers d ON d.session_id = s.session_id "
    "WHERE s.session_id > $1 AND ($2 = 1 OR s.tenant = $3) "
    "ORDER BY s.session_id LIMIT $4",
    "titi", "ttttiiitiiiii"};

// Not used since $1, or a one-shot that was not used since $2; $3 is the later.
const SqlStatement kSelectIdle = {
    "select_idle",
    "SELECT d.session_id, d.used_at FROM tandem_drivers d "
    "JOIN tandem_sessions s ON s.session_id = d.session_id "
    "WHERE d.used_at < $3 AND (d.used_at < $1 OR "
    "(d.used_at < $2 AND d.turns <= 1 AND s.is_one_shot = 1)) LIMIT $4",
    "iiii", "ti"};

const SqlStatement kSelectOldest = {
    "select_oldest",
    "SELECT session_id, used_at FROM tandem_drivers ORDER BY used_at LIMIT $1",
    "i", "ti"};

const SqlStatement kCountSessions = {
    "count_sessions", "SELECT count(*) FROM tandem_drivers", "", "i"};

const SqlStatement kDeleteDriver = {
    "delete_driver",
    "DELETE FROM tandem_drivers WHERE session_id = $1 AND ($2 = 1 OR EXISTS "
    "(SELECT 1 FROM tandem_sessions WHERE session_id = $1 AND tenant = $3))",
    "tit"};

// One that was not used since it was selected.
const SqlStatement kDeleteIdleDriver = {
    "delete_idle_driver",
    "DELETE FROM tandem_drivers WHERE session_id = $1 AND used_at = $2", "ti"};

#define TANDEM_DRIVER_IS_GONE \
  "NOT EXISTS (SELECT 1 FROM tandem_drivers WHERE session_id = $1)"

const SqlStatement kDeleteSession = {
    "delete_session",
    "DELETE FROM tandem_sessions WHERE session_id = $1 "
    "AND " TANDEM_DRIVER_IS_GONE,
    "t"};

const SqlStatement kDeleteTurns = {
    "delete_turns",
    "DELETE FROM tandem_turns WHERE session_id = $1 "
    "AND " TANDEM_DRIVER_IS_GONE,
    "t"};

const SqlStatement kDeleteTokens = {
    "delete_tokens",
    "DELETE FROM tandem_tokens WHERE session_id = $1 "
    "AND " TANDEM_DRIVER_IS_GONE,
    "t"};

const SqlStatement kDeleteEnds = {
    "delete_ends",
    "DELETE FROM tandem_ends WHERE session_id = $1 "
    "AND " TANDEM_DRIVER_IS_GONE,
    "t"};

}  // namespace tandem
