#include "services/coordinator/store/sqlite_connection.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/status.h"

namespace tandem {
namespace {

constexpr SqlDialect kDialect = {
    .lock_schema = "",
    .unlock_schema = "",
    .select_epochs = {"select_epochs",
                      "SELECT session_id, driver_epoch FROM tandem_drivers "
                      "WHERE session_id IN (SELECT value FROM json_each($1))",
                      "t", "ti"}};

// The log is copied into the file when it has 1000 pages (4 MiB, SQLite's
// default), by the thread that commits; a copy of 4 MiB takes 10 ms here.
// What a burst made of it is cut to this.
constexpr char kPragmas[] =
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = FULL;"
    "PRAGMA journal_size_limit = 67108864;"
    "PRAGMA busy_timeout = 5000;"
    "PRAGMA wal_checkpoint(TRUNCATE)";

constexpr SqlStatement kSelectJournal = {"select_journal",
                                         "PRAGMA journal_mode", "", "t"};

constexpr char kDamagedHelp[] =
    "; put a copy of it in its place, or move it away";

// Of the header that every database has.
constexpr int64_t kHeaderBytes = 100;

// 0 of a file that is not there.
int64_t FileBytes(const std::string& path) {
  struct stat file = {};
  return stat(path.c_str(), &file) == 0 ? static_cast<int64_t>(file.st_size)
                                        : 0;
}

// Steps of a statement until its end; `row` for each row.
template <typename OnRow>
int StepAll(sqlite3_stmt* statement, OnRow on_row) {
  int code = sqlite3_step(statement);
  for (; code == SQLITE_ROW; code = sqlite3_step(statement)) on_row();
  return code;
}

SqlValue ColumnOf(sqlite3_stmt* statement, int column, char type) {
  if (type == 'i') {
    return static_cast<int64_t>(sqlite3_column_int64(statement, column));
  }
  const void* const bytes = sqlite3_column_blob(statement, column);
  const int size = sqlite3_column_bytes(statement, column);
  if (bytes == nullptr) return std::string();
  return std::string(static_cast<const char*>(bytes),
                     static_cast<size_t>(size));
}

int Bind(sqlite3_stmt* statement, int index, const SqlValue& value, char type) {
  if (const auto* const number = std::get_if<int64_t>(&value)) {
    TANDEM_CHECK(type == 'i');
    return sqlite3_bind_int64(statement, index, *number);
  }
  const std::string& text = std::get<std::string>(value);
  if (type == 't') {
    return sqlite3_bind_text64(statement, index, text.data(), text.size(),
                               SQLITE_STATIC, SQLITE_UTF8);
  }
  TANDEM_CHECK(type == 'b');
  // A null pointer would be NULL.
  return sqlite3_bind_blob64(statement, index, text.empty() ? "" : text.data(),
                             text.size(), SQLITE_STATIC);
}

}  // namespace

SqliteConnection::~SqliteConnection() { Close(); }

const SqlDialect& SqliteConnection::dialect() const { return kDialect; }

absl::Status SqliteConnection::Open() {
  if (database_ != nullptr) return absl::OkStatus();
  // SQLite would take such a file for a new one, and remove its log.
  if (FileBytes(path_) < kHeaderBytes && FileBytes(path_ + "-wal") > 0) {
    return absl::DataLossError(absl::StrCat(
        path_, ": it is empty or cut, and its log ", path_,
        "-wal is not; put a copy of both in their place, or move both away"));
  }
  const int code = sqlite3_open_v2(
      path_.c_str(), &database_,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
          SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOFOLLOW,
      /*zVfs=*/nullptr);
  absl::Status status;
  if (code == SQLITE_OK) {
    sqlite3_extended_result_codes(database_, 1);
    status = SetUp();
  } else {
    status = ErrorOf(code);
  }
  if (!status.ok()) Close();
  return status;
}

absl::Status SqliteConnection::SetUp() {
  TANDEM_RETURN_IF_ERROR(RunScript(kPragmas));
  SqlResult journal;
  TANDEM_RETURN_IF_ERROR(RunCall({.statement = &kSelectJournal}, &journal));
  if (std::get<std::string>(journal.rows.at(0).at(0)) == "wal") {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      path_,
      ": its file system has no memory that processes share, which a "
      "write-ahead log needs; name a folder on a local disk"));
}

void SqliteConnection::Close() {
  for (auto& [statement, prepared] : prepared_) {
    sqlite3_finalize(prepared.statement);
  }
  prepared_.clear();
  sqlite3_close_v2(database_);
  database_ = nullptr;
}

absl::Status SqliteConnection::ErrorOf(int code) const {
  const int error = sqlite3_system_errno(database_);
  const std::string what =
      absl::StrCat(path_, ": ", sqlite3_errmsg(database_),
                   error == 0 ? "" : absl::StrCat(" (", strerror(error), ")"));
  switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
      return absl::OkStatus();
    case SQLITE_FULL:
    case SQLITE_IOERR:
      return absl::UnavailableError(
          absl::StrCat(what,
                       "; make room on its disk, or see whether that "
                       "fails"));
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::UnavailableError(
          absl::StrCat(what, "; end the program that has it open"));
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(absl::StrCat(what, kDamagedHelp));
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
      return absl::FailedPreconditionError(absl::StrCat(
          what, "; give it to the user that runs this, to read and write"));
    default:
      return absl::InternalError(what);
  }
}

absl::Status SqliteConnection::RunScript(const std::string& script) {
  const int code = sqlite3_exec(database_, script.c_str(), /*callback=*/nullptr,
                                /*context=*/nullptr, /*errmsg=*/nullptr);
  const absl::Status status = ErrorOf(code);
  if (!status.ok() && sqlite3_get_autocommit(database_) == 0) {
    sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
  }
  return status;
}

absl::StatusOr<SqliteConnection::Prepared*> SqliteConnection::Prepare(
    const SqlStatement& statement) {
  const auto [found, is_new] = prepared_.try_emplace(&statement);
  Prepared& prepared = found->second;
  if (!is_new) return &prepared;
  const int code =
      sqlite3_prepare_v3(database_, statement.text, /*nByte=*/-1,
                         SQLITE_PREPARE_PERSISTENT, &prepared.statement,
                         /*pzTail=*/nullptr);
  if (code != SQLITE_OK) {
    absl::Status status = ErrorOf(code);
    prepared_.erase(found);
    // The statement is good: what it names is not in the file any more.
    if (absl::IsInternal(status)) {
      status = absl::DataLossError(
          absl::StrCat(std::string(status.message()), kDamagedHelp));
    }
    return status;
  }
  for (size_t i = 1; i <= strlen(statement.parameters); ++i) {
    const int index = sqlite3_bind_parameter_index(
        prepared.statement, absl::StrCat("$", i).c_str());
    TANDEM_CHECK(index > 0);
    prepared.parameters.push_back(index);
  }
  return &prepared;
}

absl::Status SqliteConnection::RunCall(const SqlCall& call, SqlResult* result) {
  const SqlStatement& statement = *call.statement;
  TANDEM_ASSIGN_OR_RETURN(const Prepared* const prepared, Prepare(statement));
  TANDEM_CHECK(call.values.size() == prepared->parameters.size());
  for (size_t i = 0; i < call.values.size(); ++i) {
    const int code = Bind(prepared->statement, prepared->parameters[i],
                          call.values[i], statement.parameters[i]);
    if (code != SQLITE_OK) return ErrorOf(code);
  }
  const int columns = static_cast<int>(strlen(statement.columns));
  const int64_t changed_before = sqlite3_total_changes64(database_);
  int code = StepAll(prepared->statement, [&] {
    std::vector<SqlValue>& row = result->rows.emplace_back();
    for (int column = 0; column < columns; ++column) {
      row.push_back(
          ColumnOf(prepared->statement, column, statement.columns[column]));
    }
  });
  const absl::Status status = ErrorOf(code);
  sqlite3_reset(prepared->statement);
  sqlite3_clear_bindings(prepared->statement);
  result->changed = sqlite3_total_changes64(database_) - changed_before;
  return status;
}

absl::Status SqliteConnection::RunCalls(absl::Span<const SqlCall> calls,
                                        std::vector<SqlResult>* results) {
  TANDEM_RETURN_IF_ERROR(RunScript("BEGIN"));
  for (const SqlCall& call : calls) {
    const absl::Status status = RunCall(call, &results->emplace_back());
    if (!status.ok()) {
      sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
      return status;
    }
  }
  return RunScript("COMMIT");
}

absl::StatusOr<std::vector<SqlResult>> SqliteConnection::Run(
    absl::Span<const SqlCall> calls) {
  std::vector<SqlResult> results;
  const absl::Status status = RunCalls(calls, &results);
  if (status.ok()) return results;
  if (absl::IsUnavailable(status)) Close();
  return status;
}

}  // namespace tandem
