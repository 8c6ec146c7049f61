// How a PostgreSQL server is reached: an address of libpq without secrets, and
// the file with the password. Pure but for reading the file; any thread.

#ifndef TANDEM_SERVICES_COORDINATOR_STORE_POSTGRES_ADDRESS_H_
#define TANDEM_SERVICES_COORDINATOR_STORE_POSTGRES_ADDRESS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace tandem {

struct PostgresAddress {
  // postgres://USER@HOST:PORT/DATABASE?sslmode=... with all options of libpq.
  std::string address;
  std::string password_file = {};  // may be empty
};

// Whether it begins as an address of PostgreSQL.
bool IsPostgresAddress(absl::string_view address);

// INVALID_ARGUMENT for an address that libpq can not read, or that holds a
// password: others see it where they see the command line.
absl::Status CheckPostgresAddress(const std::string& address);

// The file's first line; empty where there is no file. Read for each
// connection, so that a password may change. INVALID_ARGUMENT where it can not
// be read, is not a line, or may be read by everybody.
absl::StatusOr<std::string> ReadPasswordFile(const std::string& path);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_STORE_POSTGRES_ADDRESS_H_
