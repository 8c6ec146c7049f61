// The seam to a database: statements with their values, run as one transaction.
// A connection belongs to one thread; statements are constants.

#ifndef TANDEM_SERVICES_COORDINATOR_STORE_SQL_CONNECTION_H_
#define TANDEM_SERVICES_COORDINATOR_STORE_SQL_CONNECTION_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace tandem {

// A statement in the SQL that SQLite and PostgreSQL have in common. Its
// parameters are $1, $2, ...; their types and those of its result's columns
// stand as one letter each: i integer (64 bits), t text (UTF-8), b bytes.
struct SqlStatement {
  const char* name;
  const char* text;
  const char* parameters;
  const char* columns = "";
};

// An integer, or a text or bytes.
using SqlValue = std::variant<int64_t, std::string>;

struct SqlCall {
  const SqlStatement* statement = nullptr;
  std::vector<SqlValue> values = {};  // as many as it has parameters
};

struct SqlResult {
  int64_t changed = 0;  // rows inserted, updated or deleted
  std::vector<std::vector<SqlValue>> rows = {};
};

// Where the two differ.
struct SqlDialect {
  // Keeps other processes from changing the schema meanwhile; may be empty.
  const char* lock_schema;
  const char* unlock_schema;
  // Session ids (text) and epochs of the sessions in a JSON array of ids.
  SqlStatement select_epochs;
};

class SqlConnection {
 public:
  virtual ~SqlConnection() = default;

  virtual const SqlDialect& dialect() const = 0;
  // Connects, or connects again after UNAVAILABLE; nothing while it is
  // connected. UNAVAILABLE: a later try may succeed.
  virtual absl::Status Open() = 0;
  // Runs statements that have no values, one after the other.
  virtual absl::Status RunScript(const std::string& script) = 0;
  // Runs the calls in one transaction. OK: it is on the disk. UNAVAILABLE: it
  // may be; Open, then run it again. ABORTED: it is not, because of others;
  // run it again. Every other error is about what a call asks for.
  virtual absl::StatusOr<std::vector<SqlResult>> Run(
      absl::Span<const SqlCall> calls) = 0;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_STORE_SQL_CONNECTION_H_
