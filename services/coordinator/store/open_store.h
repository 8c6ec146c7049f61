// Opens the store that the flags name. Called at start, before anything
// listens.

#ifndef TANDEM_SERVICES_COORDINATOR_STORE_OPEN_STORE_H_
#define TANDEM_SERVICES_COORDINATOR_STORE_OPEN_STORE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "services/coordinator/store/postgres_connection.h"
#include "services/coordinator/store/state_store.h"

namespace tandem {

// SQLite in `folder`, which is made if it is not there and is this process'
// alone while the store lives. Errors name the folder or the file, and say what
// helps.
absl::StatusOr<std::unique_ptr<StateStore>> OpenSqliteStore(
    const std::string& folder, const StoreLimits& limits);

// A database of PostgreSQL, which any number of coordinators share. UNAVAILABLE
// where it is away now; all other errors are for good, and say what helps.
absl::StatusOr<std::unique_ptr<StateStore>> OpenPostgresStore(
    const PostgresOptions& options, const StoreLimits& limits);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_STORE_OPEN_STORE_H_
