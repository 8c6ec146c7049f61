// A connection to PostgreSQL, 15 or later: a transaction is one round trip
// (libpq's pipeline mode), and a commit is on the server's disk. Belongs to one
// thread.

#ifndef TANDEM_SERVICES_COORDINATOR_STORE_POSTGRES_CONNECTION_H_
#define TANDEM_SERVICES_COORDINATOR_STORE_POSTGRES_CONNECTION_H_

#include <memory>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "services/coordinator/store/postgres_address.h"
#include "services/coordinator/store/sql_connection.h"

struct pg_conn;
struct pg_result;

namespace tandem {

struct PostgresOptions {
  PostgresAddress address;
  // A server may lose what it has committed (fsync or full_page_writes off).
  bool allow_loss = false;
  // A server that does not answer for this long is away.
  absl::Duration answer_timeout = absl::Seconds(5);
};

class PostgresConnection final : public SqlConnection {
 public:
  explicit PostgresConnection(PostgresOptions options)
      : options_(std::move(options)) {}
  ~PostgresConnection() override;

  PostgresConnection(const PostgresConnection&) = delete;
  PostgresConnection& operator=(const PostgresConnection&) = delete;

  const SqlDialect& dialect() const override;
  // FAILED_PRECONDITION, with the remedy, for a server that refuses the user
  // or the password, has no such database, is older, has another encoding than
  // UTF-8 or may lose what it commits.
  absl::Status Open() override;
  absl::Status RunScript(const std::string& script) override;
  absl::StatusOr<std::vector<SqlResult>> Run(
      absl::Span<const SqlCall> calls) override;

 private:
  struct ResultDelete {
    void operator()(pg_result* result) const;
  };
  using ResultPtr = std::unique_ptr<pg_result, ResultDelete>;

  absl::Status Connect();
  // Why Connect has failed.
  absl::Status ConnectError() const;
  absl::Status CheckServer();
  // Waits until the socket can be read or written; false: `end` has come.
  bool Wait(bool for_writing, absl::Time end) const;
  absl::StatusOr<ResultPtr> NextResult(absl::Time end);
  // Sends the pipeline of a transaction; false: the connection is broken.
  bool Send(absl::Span<const SqlCall> calls,
            absl::Span<const SqlStatement* const> unprepared);
  bool SendCall(const SqlCall& call);
  // The result of the pipeline's next command.
  absl::StatusOr<ResultPtr> NextAnswer(absl::Time end);
  absl::StatusOr<std::vector<SqlResult>> Receive(
      absl::Span<const SqlCall> calls,
      absl::Span<const SqlStatement* const> unprepared);
  // What an error that the server sent means.
  absl::Status ErrorOf(const pg_result* result) const;
  absl::Status Lost(const std::string& why);
  void Close();

  const PostgresOptions options_;
  pg_conn* connection_ = nullptr;
  std::unordered_set<const SqlStatement*> prepared_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_STORE_POSTGRES_CONNECTION_H_
