#include "services/coordinator/store/stored_rows.h"

#include <array>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "engine/base/status.h"
#include "services/coordinator/store/row_codec.h"
#include "services/coordinator/store/sql_schema.h"

namespace tandem {
namespace {

using Row = std::vector<SqlValue>;

constexpr std::array kFinishReasons = {
    FinishReason::kStopToken, FinishReason::kStopString,
    FinishReason::kLength,    FinishReason::kContext,
    FinishReason::kCancelled, FinishReason::kDeadline,
    FinishReason::kError,     FinishReason::kGrammarEnd};

int64_t Number(const SqlValue& value) { return std::get<int64_t>(value); }
const std::string& Text(const SqlValue& value) {
  return std::get<std::string>(value);
}

// The call of `statement` with a row's values and then its checksum.
SqlCall WithChecksum(const SqlStatement& statement, const char* table,
                     Row values) {
  const int64_t checksum = RowChecksum(table, values);
  values.emplace_back(checksum);
  return {.statement = &statement, .values = std::move(values)};
}

absl::Status Damaged(absl::string_view session_id, absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat("session ", session_id, ": ", what,
                   "; the session can not be used: delete it"));
}

// OK where the last value of `row` is the checksum of the others, and the first
// one its session.
absl::Status CheckRow(absl::Span<const SqlValue> row, const char* table,
                      absl::string_view session_id) {
  const absl::Span<const SqlValue> values = row.first(row.size() - 1);
  if (Number(row.back()) == RowChecksum(table, values)) {
    return absl::OkStatus();
  }
  return Damaged(session_id, absl::StrCat("a row of ", table,
                                          " does not have its checksum"));
}

Row DriverValues(const DriverRow& row) {
  return {row.session_id, row.epoch, row.turns, row.used_at};
}

absl::StatusOr<DriverRow> DriverOfRow(absl::Span<const SqlValue> row) {
  DriverRow driver{.session_id = Text(row[0]),
                   .epoch = Number(row[1]),
                   .turns = Number(row[2]),
                   .used_at = Number(row[3])};
  TANDEM_RETURN_IF_ERROR(CheckRow(row, kDriversTable, driver.session_id));
  return driver;
}

SessionRecord RecordOfRow(absl::Span<const SqlValue> row) {
  return {.tenant = Text(row[1]),
          .model_id = Text(row[2]),
          .vocabulary_fingerprint = Text(row[3]),
          .is_one_shot = Number(row[4]) != 0};
}

// Reads the rows of one session's turns into `session`.
class TurnReader {
 public:
  explicit TurnReader(StoredSession* session) : session_(session) {}

  absl::Status AddTurn(const Row& row) {
    TANDEM_RETURN_IF_ERROR(CheckRow(row, kTurnsTable, session_->id));
    StoredTurn turn;
    turn.number = Number(row[1]);
    turn.begun_epoch = Number(row[2]);
    turn.record.fingerprint = Text(row[3]);
    std::optional<std::vector<TokenId>> prompt = TokensOfBytes(Text(row[4]));
    if (turn.number != static_cast<int64_t>(session_->turns.size()) + 1 ||
        !prompt.has_value()) {
      return Missing(kTurnsTable, turn.number);
    }
    turn.record.prompt = *std::move(prompt);
    turn.record.setup = Text(row[5]);
    session_->turns.push_back(std::move(turn));
    return absl::OkStatus();
  }

  absl::Status AddTokens(const Row& row) {
    TANDEM_RETURN_IF_ERROR(CheckRow(row, kTokensTable, session_->id));
    StoredTurn* const turn = Find(Number(row[1]));
    // A turn that began after the turns were read.
    if (turn == nullptr) return absl::OkStatus();
    const std::optional<std::vector<TokenId>> tokens =
        TokensOfBytes(Text(row[3]));
    if (Number(row[2]) != static_cast<int64_t>(turn->generated.size()) ||
        !tokens.has_value()) {
      return Missing(kTokensTable, turn->number);
    }
    turn->generated.insert(turn->generated.end(), tokens->begin(),
                           tokens->end());
    turn->elapsed_ms = Number(row[4]);
    return absl::OkStatus();
  }

  absl::Status AddEnd(const Row& row) {
    TANDEM_RETURN_IF_ERROR(CheckRow(row, kEndsTable, session_->id));
    StoredTurn* const turn = Find(Number(row[1]));
    if (turn == nullptr) return absl::OkStatus();
    for (const FinishReason reason : kFinishReasons) {
      if (FinishReasonName(reason) == Text(row[2])) turn->end_reason = reason;
    }
    if (!turn->end_reason.has_value() ||
        Number(row[3]) != static_cast<int64_t>(turn->generated.size())) {
      return Missing(kTokensTable, turn->number);
    }
    turn->figures = Text(row[4]);
    return absl::OkStatus();
  }

 private:
  StoredTurn* Find(int64_t number) {
    if (number < 1 || number > static_cast<int64_t>(session_->turns.size())) {
      return nullptr;
    }
    return &session_->turns[static_cast<size_t>(number) - 1];
  }
  absl::Status Missing(const char* table, int64_t turn) const {
    return Damaged(session_->id, absl::StrCat("rows of ", table,
                                              " are missing at turn ", turn));
  }

  StoredSession* const session_;
};

}  // namespace

SqlCall InsertSessionCall(const std::string& session_id,
                          const SessionRecord& record, int64_t created_at) {
  return WithChecksum(
      kInsertSession, kSessionsTable,
      {session_id, record.tenant, record.model_id,
       record.vocabulary_fingerprint,
       record.is_one_shot ? int64_t{1} : int64_t{0}, created_at});
}

SqlCall InsertDriverCall(const DriverRow& row) {
  return WithChecksum(kInsertDriver, kDriversTable, DriverValues(row));
}

SqlCall TouchDriverCall(const DriverRow& row) {
  return WithChecksum(kTouchDriver, kDriversTable, DriverValues(row));
}

SqlCall RaiseEpochCall(const DriverRow& row, int64_t used_at) {
  DriverRow next = row;
  ++next.epoch;
  next.used_at = used_at;
  return {.statement = &kRaiseEpoch,
          .values = {row.session_id, row.epoch, row.turns, next.epoch, used_at,
                     RowChecksum(kDriversTable, DriverValues(next))}};
}

SqlCall PutTurnCall(const TurnKey& key, const TurnRecord& record) {
  return WithChecksum(kPutTurn, kTurnsTable,
                      {key.session_id, key.turn, key.epoch, record.fingerprint,
                       TokenBytes(record.prompt), record.setup});
}

SqlCall DropTokensCall(const TurnKey& key, const SqlCall& put) {
  return {.statement = &kDropTokens,
          .values = {key.session_id, key.turn, key.epoch, put.values.back()}};
}

SqlCall PutTokensCall(const TurnTokens& tokens) {
  const TurnKey& key = tokens.key;
  SqlCall call = WithChecksum(kPutTokens, kTokensTable,
                              {key.session_id, key.turn, tokens.first_token,
                               TokenBytes(tokens.tokens), tokens.elapsed_ms});
  call.values.emplace_back(key.epoch);
  return call;
}

SqlCall PutEndCall(const TurnEnd& end) {
  const TurnKey& key = end.last.key;
  SqlCall call = WithChecksum(
      kPutEnd, kEndsTable,
      {key.session_id, key.turn, std::string(FinishReasonName(end.reason)),
       end.last.first_token + static_cast<int64_t>(end.last.tokens.size()),
       end.figures});
  call.values.emplace_back(key.epoch);
  return call;
}

absl::StatusOr<DriverRow> DriverOfRows(const SqlResult& result) {
  if (result.rows.empty()) return NotStored();
  return DriverOfRow(result.rows[0]);
}

absl::StatusOr<StoredSession> SessionOfRows(const SessionRows& rows) {
  TANDEM_ASSIGN_OR_RETURN(const DriverRow driver, DriverOfRows(rows.driver));
  // Deleted since its driver was read.
  if (rows.session.rows.empty()) return NotStored();
  const Row& row = rows.session.rows[0];
  StoredSession session;
  session.id = driver.session_id;
  TANDEM_RETURN_IF_ERROR(CheckRow(row, kSessionsTable, session.id));
  session.record = RecordOfRow(row);
  session.driver_epoch = driver.epoch;
  session.created_at = absl::FromUnixSeconds(Number(row[5]));
  session.used_at = absl::FromUnixSeconds(driver.used_at);
  TurnReader reader(&session);
  for (const Row& turn : rows.turns.rows) {
    TANDEM_RETURN_IF_ERROR(reader.AddTurn(turn));
  }
  for (const Row& tokens : rows.tokens.rows) {
    TANDEM_RETURN_IF_ERROR(reader.AddTokens(tokens));
  }
  for (const Row& end : rows.ends.rows) {
    TANDEM_RETURN_IF_ERROR(reader.AddEnd(end));
  }
  if (static_cast<int64_t>(session.turns.size()) < driver.turns) {
    return Damaged(session.id, absl::StrCat("rows of ", kTurnsTable,
                                            " are missing at the end"));
  }
  return session;
}

bool IsSameEnd(absl::Span<const SqlValue> row, const TurnEnd& end) {
  return Number(row[1]) == end.last.key.turn &&
         Text(row[2]) == FinishReasonName(end.reason) &&
         Number(row[3]) == end.last.first_token +
                               static_cast<int64_t>(end.last.tokens.size());
}

std::vector<SessionSummary> SummariesOfRows(const SqlResult& result) {
  constexpr size_t kSessionColumns = 7;
  constexpr size_t kDriverColumns = 5;
  std::vector<SessionSummary> summaries;
  summaries.reserve(result.rows.size());
  for (const Row& row : result.rows) {
    const absl::Span<const SqlValue> session =
        absl::MakeConstSpan(row).first(kSessionColumns);
    const absl::Span<const SqlValue> driver =
        absl::MakeConstSpan(row).subspan(kSessionColumns, kDriverColumns);
    SessionSummary summary;
    summary.id = Text(session[0]);
    summary.record = RecordOfRow(session);
    summary.created_at = absl::FromUnixSeconds(Number(session[5]));
    summary.used_at = absl::FromUnixSeconds(Number(driver[3]));
    summary.turns = Number(driver[2]);
    summary.is_over = Number(row.back()) != 0;
    summary.is_damaged = !CheckRow(session, kSessionsTable, summary.id).ok() ||
                         !CheckRow(driver, kDriversTable, summary.id).ok();
    summaries.push_back(std::move(summary));
  }
  return summaries;
}

}  // namespace tandem
