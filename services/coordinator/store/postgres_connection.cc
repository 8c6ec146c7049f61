#include "services/coordinator/store/postgres_connection.h"

#include <endian.h>
#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "engine/base/check.h"
#include "engine/base/monotonic_clock.h"
#include "engine/base/status.h"

namespace tandem {
namespace {

constexpr int kServerVersionMin = 150000;
constexpr absl::Duration kConnectTimeout = absl::Seconds(5);

// Types of values (pg_type.oid), and their binary form.
constexpr Oid kInt8 = 20;
constexpr Oid kText = 25;
constexpr Oid kBytea = 17;
constexpr int kBinary = 1;

// The lock is any number that nobody else uses: "tandem" in ASCII.
constexpr SqlDialect kDialect = {
    .lock_schema = "SELECT pg_advisory_lock(127970252055917)",
    .unlock_schema = "SELECT pg_advisory_unlock(127970252055917)",
    .select_epochs = {
        "select_epochs",
        "SELECT session_id, driver_epoch FROM tandem_drivers WHERE session_id "
        "IN (SELECT jsonb_array_elements_text($1::jsonb))",
        "t", "ti"}};

constexpr SqlStatement kSelectSettings = {
    "select_settings",
    "SELECT current_setting('fsync'), current_setting('full_page_writes')", "",
    "tt"};

// Locks are held for one round trip, but by a coordinator that is stopped in
// the middle of one: the server then ends its transaction.
constexpr char kSessionSettings[] =
    "SET synchronous_commit = on;"
    "SET lock_timeout = '3s';"
    "SET statement_timeout = '4s';"
    "SET idle_in_transaction_session_timeout = '4s'";

Oid TypeOf(char letter) {
  switch (letter) {
    case 'i':
      return kInt8;
    case 't':
      return kText;
    default:
      TANDEM_CHECK(letter == 'b');
      return kBytea;
  }
}

// libpq's first line, without its end.
std::string FirstLine(const char* message) {
  const absl::string_view text = message == nullptr ? "" : message;
  return std::string(
      absl::StripAsciiWhitespace(text.substr(0, text.find('\n'))));
}

// The SQLSTATE of a verbose message, "FATAL:  28P01: ..."; empty: it has none.
std::string StateOf(absl::string_view message) {
  constexpr size_t kStateLetters = 5;
  constexpr absl::string_view kBefore = ":  ";
  const size_t at = message.find(kBefore);
  if (at == absl::string_view::npos) return "";
  const absl::string_view rest = message.substr(at + kBefore.size());
  if (rest.size() <= kStateLetters || rest[kStateLetters] != ':') return "";
  return std::string(rest.substr(0, kStateLetters));
}

SqlValue ValueOf(const PGresult* result, int row, int column, char type) {
  const char* const bytes = PQgetvalue(result, row, column);
  const auto size = static_cast<size_t>(PQgetlength(result, row, column));
  if (type != 'i') return std::string(bytes, size);
  if (size == sizeof(uint32_t)) {
    uint32_t number;
    memcpy(&number, bytes, sizeof(number));
    return static_cast<int64_t>(static_cast<int32_t>(be32toh(number)));
  }
  uint64_t number = 0;  // of a NULL, which fails the row's checksum
  if (size == sizeof(number)) memcpy(&number, bytes, sizeof(number));
  return static_cast<int64_t>(be64toh(number));
}

SqlResult ResultOf(const PGresult* result, const SqlStatement& statement) {
  SqlResult made;
  const absl::string_view changed = PQcmdTuples(const_cast<PGresult*>(result));
  for (const char digit : changed) {
    made.changed = made.changed * 10 + (digit - '0');
  }
  const int columns = static_cast<int>(strlen(statement.columns));
  for (int row = 0; columns > 0 && row < PQntuples(result); ++row) {
    std::vector<SqlValue>& values = made.rows.emplace_back();
    for (int column = 0; column < columns; ++column) {
      values.push_back(ValueOf(result, row, column, statement.columns[column]));
    }
  }
  return made;
}

}  // namespace

void PostgresConnection::ResultDelete::operator()(pg_result* result) const {
  PQclear(result);
}

PostgresConnection::~PostgresConnection() { Close(); }

const SqlDialect& PostgresConnection::dialect() const { return kDialect; }

void PostgresConnection::Close() {
  PQfinish(connection_);
  connection_ = nullptr;
  prepared_.clear();
}

absl::Status PostgresConnection::Lost(const std::string& why) {
  Close();
  return absl::UnavailableError(
      absl::StrCat(options_.address.address, ": ", why));
}

absl::Status PostgresConnection::Open() {
  if (connection_ != nullptr) return absl::OkStatus();
  absl::Status status = Connect();
  if (status.ok()) status = CheckServer();
  if (!status.ok()) Close();
  return status;
}

absl::Status PostgresConnection::Connect() {
  TANDEM_ASSIGN_OR_RETURN(const std::string password,
                          ReadPasswordFile(options_.address.password_file));
  // What stands before "dbname" is a default, which the address may change.
  // Plain text leaves this machine only where the address says so.
  constexpr std::array<const char*, 11> kKeys = {"sslmode",
                                                 "target_session_attrs",
                                                 "gssencmode",
                                                 "keepalives_idle",
                                                 "keepalives_interval",
                                                 "keepalives_count",
                                                 "tcp_user_timeout",
                                                 "application_name",
                                                 "dbname",
                                                 "client_encoding",
                                                 nullptr};
  std::vector<const char*> keys(kKeys.begin(), kKeys.end());
  std::vector<const char*> values = {"require",
                                     "read-write",
                                     "disable",
                                     "5",
                                     "2",
                                     "3",
                                     "10000",
                                     "tandem-coordinator",
                                     options_.address.address.c_str(),
                                     "UTF8",
                                     nullptr};
  if (!password.empty()) {
    keys.insert(keys.end() - 1, "password");
    values.insert(values.end() - 1, password.c_str());
  }
  connection_ =
      PQconnectStartParams(keys.data(), values.data(), /*expand_dbname=*/1);
  if (connection_ == nullptr) return Lost("no memory for a connection");
  PQsetErrorVerbosity(connection_, PQERRORS_VERBOSE);
  const absl::Time end = MonotonicNow() + kConnectTimeout;
  PostgresPollingStatusType next = PGRES_POLLING_WRITING;
  while (PQstatus(connection_) != CONNECTION_BAD && next != PGRES_POLLING_OK &&
         next != PGRES_POLLING_FAILED) {
    if (!Wait(next == PGRES_POLLING_WRITING, end)) {
      return Lost("does not answer; see that it runs and is reached from here");
    }
    next = PQconnectPoll(connection_);
  }
  if (PQstatus(connection_) == CONNECTION_OK) {
    PQsetErrorVerbosity(connection_, PQERRORS_DEFAULT);
    PQsetNoticeProcessor(
        connection_, [](void*, const char*) {}, nullptr);
    PQsetnonblocking(connection_, 1);
    return absl::OkStatus();
  }
  return ConnectError();
}

absl::Status PostgresConnection::ConnectError() const {
  const std::string message = FirstLine(PQerrorMessage(connection_));
  const std::string state = StateOf(message);
  const std::string what =
      absl::StrCat(options_.address.address, ": ", message);
  if (PQconnectionNeedsPassword(connection_) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(what, "; put the password in a file and name that file"));
  }
  if (absl::StartsWith(state, "28")) {
    return absl::FailedPreconditionError(
        absl::StrCat(what,
                     "; see the user in the address, and the password "
                     "file: ",
                     options_.address.password_file.empty()
                         ? "none is named"
                         : options_.address.password_file));
  }
  if (state == "3D000") {
    return absl::FailedPreconditionError(
        absl::StrCat(what, "; make it: createdb --encoding=UTF8 NAME"));
  }
  return absl::UnavailableError(what);
}

absl::Status PostgresConnection::CheckServer() {
  const std::string& address = options_.address.address;
  const auto wrong = [&](absl::string_view what) {
    return absl::FailedPreconditionError(absl::StrCat(address, ": ", what));
  };
  if (PQserverVersion(connection_) < kServerVersionMin) {
    return wrong("the server is older than PostgreSQL 15; use a newer one");
  }
  const char* const encoding =
      PQparameterStatus(connection_, "server_encoding");
  if (encoding == nullptr || absl::string_view(encoding) != "UTF8") {
    return wrong(absl::StrCat("the database has encoding ",
                              encoding == nullptr ? "?" : encoding,
                              "; make one: createdb --encoding=UTF8 "
                              "--template=template0 NAME"));
  }
  TANDEM_RETURN_IF_ERROR(RunScript(kSessionSettings));
  const SqlCall call{.statement = &kSelectSettings};
  TANDEM_ASSIGN_OR_RETURN(const std::vector<SqlResult> results,
                          Run(absl::MakeConstSpan(&call, 1)));
  const std::vector<SqlValue>& row = results.at(0).rows.at(0);
  for (size_t i = 0; i < row.size(); ++i) {
    if (options_.allow_loss || std::get<std::string>(row[i]) == "on") continue;
    return wrong(absl::StrCat(
        "the server has ", i == 0 ? "fsync" : "full_page_writes",
        " off and may lose what it has committed; turn it on, or allow loss"));
  }
  return absl::OkStatus();
}

bool PostgresConnection::Wait(bool for_writing, absl::Time end) const {
  while (true) {
    const absl::Duration left = end - MonotonicNow();
    if (left <= absl::ZeroDuration()) return false;
    pollfd socket = {
        .fd = PQsocket(connection_),
        .events = static_cast<short>(for_writing ? POLLIN | POLLOUT : POLLIN),
        .revents = 0};
    const int ready =
        poll(&socket, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1);
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

absl::StatusOr<PostgresConnection::ResultPtr> PostgresConnection::NextResult(
    absl::Time end) {
  while (true) {
    const int unsent = PQflush(connection_);
    if (unsent < 0) return Lost(FirstLine(PQerrorMessage(connection_)));
    if (PQisBusy(connection_) == 0) {
      ResultPtr result(PQgetResult(connection_));
      if (PQstatus(connection_) == CONNECTION_BAD) {
        return Lost(FirstLine(PQerrorMessage(connection_)));
      }
      return result;
    }
    if (!Wait(unsent > 0, end)) return Lost("the server does not answer");
    if (PQconsumeInput(connection_) == 0) {
      return Lost(FirstLine(PQerrorMessage(connection_)));
    }
  }
}

absl::Status PostgresConnection::ErrorOf(const pg_result* result) const {
  const auto field = [result](int code) -> absl::string_view {
    const char* const text = PQresultErrorField(result, code);
    return text == nullptr ? "" : text;
  };
  const absl::string_view state = field(PG_DIAG_SQLSTATE);
  const std::string what = absl::StrCat(
      options_.address.address, ": ",
      FirstLine(std::string(field(PG_DIAG_MESSAGE_PRIMARY)).c_str()), " (",
      state, ")");
  if (state == "40001" || state == "40P01" || state == "55P03") {
    return absl::AbortedError(what);
  }
  // Shut down, cancelled, out of disk or memory, read-only since a failover.
  if (absl::StartsWith(state, "57") || absl::StartsWith(state, "53") ||
      absl::StartsWith(state, "08") || absl::StartsWith(state, "58") ||
      absl::StartsWith(state, "25")) {
    return absl::UnavailableError(what);
  }
  if (absl::StartsWith(state, "XX")) return absl::DataLossError(what);
  if (state == "42501") {
    return absl::FailedPreconditionError(absl::StrCat(
        what, "; give the user a schema: GRANT ALL ON SCHEMA public TO USER"));
  }
  return absl::InternalError(what);
}

absl::Status PostgresConnection::RunScript(const std::string& script) {
  const absl::Time end = MonotonicNow() + options_.answer_timeout;
  if (PQsendQuery(connection_, script.c_str()) == 0) {
    return Lost(FirstLine(PQerrorMessage(connection_)));
  }
  absl::Status status;
  while (true) {
    TANDEM_ASSIGN_OR_RETURN(const ResultPtr result, NextResult(end));
    if (result == nullptr) break;
    if (PQresultStatus(result.get()) == PGRES_FATAL_ERROR && status.ok()) {
      status = ErrorOf(result.get());
    }
  }
  if (!status.ok() && PQtransactionStatus(connection_) == PQTRANS_INERROR) {
    TANDEM_RETURN_IF_ERROR(RunScript("ROLLBACK"));
  }
  return status;
}

bool PostgresConnection::SendCall(const SqlCall& call) {
  const SqlStatement& statement = *call.statement;
  const size_t count = strlen(statement.parameters);
  TANDEM_CHECK(call.values.size() == count);
  std::vector<uint64_t> numbers(count);
  std::vector<const char*> values(count);
  std::vector<int> sizes(count);
  const std::vector<int> formats(count, kBinary);
  for (size_t i = 0; i < count; ++i) {
    if (const auto* const number = std::get_if<int64_t>(&call.values[i])) {
      TANDEM_CHECK(statement.parameters[i] == 'i');
      numbers[i] = htobe64(static_cast<uint64_t>(*number));
      values[i] = reinterpret_cast<const char*>(&numbers[i]);
      sizes[i] = sizeof(numbers[i]);
    } else {
      TANDEM_CHECK(statement.parameters[i] != 'i');
      const std::string& text = std::get<std::string>(call.values[i]);
      values[i] = text.data();
      sizes[i] = static_cast<int>(text.size());
    }
  }
  return PQsendQueryPrepared(connection_, statement.name,
                             static_cast<int>(count), values.data(),
                             sizes.data(), formats.data(), kBinary) == 1;
}

bool PostgresConnection::Send(
    absl::Span<const SqlCall> calls,
    absl::Span<const SqlStatement* const> unprepared) {
  const auto send = [this](const char* command) {
    return PQsendQueryParams(connection_, command, 0, nullptr, nullptr, nullptr,
                             nullptr, kBinary) == 1;
  };
  for (const SqlStatement* const statement : unprepared) {
    std::vector<Oid> types;
    for (const char* type = statement->parameters; *type != '\0'; ++type) {
      types.push_back(TypeOf(*type));
    }
    if (PQsendPrepare(connection_, statement->name, statement->text,
                      static_cast<int>(types.size()), types.data()) != 1) {
      return false;
    }
  }
  if (!send("BEGIN")) return false;
  for (const SqlCall& call : calls) {
    if (!SendCall(call)) return false;
  }
  return send("COMMIT") && PQpipelineSync(connection_) == 1;
}

absl::StatusOr<PostgresConnection::ResultPtr> PostgresConnection::NextAnswer(
    absl::Time end) {
  TANDEM_ASSIGN_OR_RETURN(ResultPtr answer, NextResult(end));
  if (answer == nullptr) return Lost("the server's answers are out of order");
  if (PQresultStatus(answer.get()) == PGRES_PIPELINE_SYNC) return answer;
  // Each command's results end with none.
  TANDEM_ASSIGN_OR_RETURN(const ResultPtr none, NextResult(end));
  if (none != nullptr) return Lost("the server's answers are out of order");
  return answer;
}

absl::StatusOr<std::vector<SqlResult>> PostgresConnection::Receive(
    absl::Span<const SqlCall> calls,
    absl::Span<const SqlStatement* const> unprepared) {
  const absl::Time end = MonotonicNow() + options_.answer_timeout;
  const size_t first_call = unprepared.size() + 1;  // behind BEGIN
  const size_t commit = first_call + calls.size();
  absl::Status status;
  std::vector<SqlResult> results;
  results.reserve(calls.size());
  for (size_t i = 0; i <= commit + 1; ++i) {
    TANDEM_ASSIGN_OR_RETURN(const ResultPtr answer, NextAnswer(end));
    const ExecStatusType kind = PQresultStatus(answer.get());
    if (kind == PGRES_FATAL_ERROR && status.ok()) {
      status = ErrorOf(answer.get());
    }
    if (!status.ok()) continue;
    if (i < unprepared.size()) {
      prepared_.insert(unprepared[i]);
    } else if (i >= first_call && i < commit) {
      results.push_back(
          ResultOf(answer.get(), *calls[i - first_call].statement));
    } else if (i == commit &&
               absl::string_view(PQcmdStatus(answer.get())) != "COMMIT") {
      status = absl::AbortedError("the transaction was not committed");
    }
  }
  if (!status.ok()) return status;
  return results;
}

absl::StatusOr<std::vector<SqlResult>> PostgresConnection::Run(
    absl::Span<const SqlCall> calls) {
  std::vector<const SqlStatement*> unprepared;
  for (const SqlCall& call : calls) {
    if (prepared_.count(call.statement) == 0 &&
        std::find(unprepared.begin(), unprepared.end(), call.statement) ==
            unprepared.end()) {
      unprepared.push_back(call.statement);
    }
  }
  if (PQenterPipelineMode(connection_) != 1 || !Send(calls, unprepared)) {
    return Lost(FirstLine(PQerrorMessage(connection_)));
  }
  absl::StatusOr<std::vector<SqlResult>> results = Receive(calls, unprepared);
  if (connection_ == nullptr) return results;
  if (PQexitPipelineMode(connection_) != 1) {
    return Lost(FirstLine(PQerrorMessage(connection_)));
  }
  if (!results.ok() && PQtransactionStatus(connection_) == PQTRANS_INERROR) {
    TANDEM_RETURN_IF_ERROR(RunScript("ROLLBACK"));
  }
  // What made it unavailable may be this server's alone.
  if (absl::IsUnavailable(results.status())) Close();
  return results;
}

}  // namespace tandem
