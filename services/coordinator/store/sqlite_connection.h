// A SQLite file as the store's database: write-ahead log, a sync for each
// commit. Belongs to one thread; nobody else writes the file (StateFolder).
//
// After an error of the disk the file is closed, and the next Open copies the
// log into it, with a sync of its own: what a failed sync has left behind is
// never built upon.

#ifndef TANDEM_SERVICES_COORDINATOR_STORE_SQLITE_CONNECTION_H_
#define TANDEM_SERVICES_COORDINATOR_STORE_SQLITE_CONNECTION_H_

#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "services/coordinator/store/sql_connection.h"

struct sqlite3;
struct sqlite3_stmt;

namespace tandem {

class SqliteConnection final : public SqlConnection {
 public:
  // `path`: of the file, which Open makes if it is not there.
  explicit SqliteConnection(std::string path) : path_(std::move(path)) {}
  ~SqliteConnection() override;

  SqliteConnection(const SqliteConnection&) = delete;
  SqliteConnection& operator=(const SqliteConnection&) = delete;

  // Errors name the file. UNAVAILABLE: the disk is full or failed. DATA_LOSS:
  // the file is damaged, or is none of SQLite's.
  const SqlDialect& dialect() const override;
  absl::Status Open() override;
  absl::Status RunScript(const std::string& script) override;
  absl::StatusOr<std::vector<SqlResult>> Run(
      absl::Span<const SqlCall> calls) override;

 private:
  struct Prepared {
    sqlite3_stmt* statement = nullptr;
    std::vector<int> parameters;  // SQLite's index of $1, $2, ...
  };

  absl::Status SetUp();
  absl::Status RunCalls(absl::Span<const SqlCall> calls,
                        std::vector<SqlResult>* results);
  absl::Status RunCall(const SqlCall& call, SqlResult* result);
  absl::StatusOr<Prepared*> Prepare(const SqlStatement& statement);
  // What SQLite's result `code` means.
  absl::Status ErrorOf(int code) const;
  void Close();

  const std::string path_;
  sqlite3* database_ = nullptr;
  std::unordered_map<const SqlStatement*, Prepared> prepared_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_STORE_SQLITE_CONNECTION_H_
