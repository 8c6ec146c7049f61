#include "services/coordinator/store/open_store.h"

#include <sys/stat.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "services/coordinator/store/postgres_address.h"
#include "services/coordinator/store/sql_connection.h"
#include "services/coordinator/store/sql_schema.h"
#include "services/coordinator/store/sql_state_store.h"
#include "services/coordinator/store/sqlite_connection.h"
#include "services/coordinator/store/state_folder.h"

namespace tandem {
namespace {

// Connections of one coordinator: while one waits for the server's disk the
// others go on. More share a sync of the server less often.
constexpr int kPostgresConnections = 4;

// A SQLite file in a folder that stays locked.
class FolderConnection final : public SqlConnection {
 public:
  explicit FolderConnection(StateFolder folder)
      : folder_(std::move(folder)),
        file_(absl::StrCat(folder_.path(), "/sessions.sqlite")) {}

  const SqlDialect& dialect() const override { return file_.dialect(); }
  absl::Status Open() override { return file_.Open(); }
  absl::Status RunScript(const std::string& script) override {
    return file_.RunScript(script);
  }
  absl::StatusOr<std::vector<SqlResult>> Run(
      absl::Span<const SqlCall> calls) override {
    return file_.Run(calls);
  }

 private:
  const StateFolder folder_;
  SqliteConnection file_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<StateStore>> OpenSqliteStore(
    const std::string& folder, const StoreLimits& limits) {
  TANDEM_ASSIGN_OR_RETURN(StateFolder state, StateFolder::Open(folder));
  std::vector<std::unique_ptr<SqlConnection>> connections;
  connections.push_back(std::make_unique<FolderConnection>(std::move(state)));
  TANDEM_RETURN_IF_ERROR(connections[0]->Open());
  const absl::Status migrated = MigrateSchema(connections[0].get());
  if (!migrated.ok()) return Annotate(migrated, folder);
  return std::make_unique<SqlStateStore>(std::move(connections), limits);
}

absl::StatusOr<std::unique_ptr<StateStore>> OpenPostgresStore(
    const PostgresOptions& options, const StoreLimits& limits) {
  TANDEM_RETURN_IF_ERROR(CheckPostgresAddress(options.address.address));
  std::vector<std::unique_ptr<SqlConnection>> connections;
  for (int i = 0; i < kPostgresConnections; ++i) {
    connections.push_back(std::make_unique<PostgresConnection>(options));
  }
  TANDEM_RETURN_IF_ERROR(connections[0]->Open());
  const absl::Status migrated = MigrateSchema(connections[0].get());
  if (!migrated.ok()) return Annotate(migrated, options.address.address);
  return std::make_unique<SqlStateStore>(std::move(connections), limits);
}

}  // namespace tandem
