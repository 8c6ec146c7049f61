#include "services/coordinator/store/stored_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "services/coordinator/store/sql_schema.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr char kId[] = "00112233445566778899aabbccddeeff";

// The rows that calls for one session with one turn make.
class StoredRowsTest : public ::testing::Test {
 protected:
  StoredRowsTest() {
    const TurnKey key{.session_id = kId, .epoch = 2, .turn = 1};
    session_.rows = {
        InsertSessionCall(kId, {.tenant = "alice", .model_id = "tiny"}, 1000)
            .values};
    driver_.rows = {
        InsertDriverCall(
            {.session_id = kId, .epoch = 2, .turns = 1, .used_at = 1200})
            .values};
    turns_.rows = {
        PutTurnCall(key, {.fingerprint = "f1", .prompt = {1}, .setup = "s"})
            .values};
    const TurnEnd end{.last = {.key = key, .first_token = 1, .tokens = {8}},
                      .reason = FinishReason::kDeadline,
                      .figures = "u"};
    tokens_.rows = {PutTokensCall({.key = key, .tokens = {7}}).values,
                    PutTokensCall(end.last).values};
    ends_.rows = {PutEndCall(end).values};
    // The last value is the epoch, which is no column.
    for (std::vector<SqlValue>& row : tokens_.rows) row.pop_back();
    ends_.rows[0].pop_back();
  }

  absl::StatusOr<StoredSession> Read() const {
    return SessionOfRows({.session = session_,
                          .driver = driver_,
                          .turns = turns_,
                          .tokens = tokens_,
                          .ends = ends_});
  }

  SqlResult session_;
  SqlResult driver_;
  SqlResult turns_;
  SqlResult tokens_;
  SqlResult ends_;
};

TEST_F(StoredRowsTest, RowsAreTheSession) {
  const absl::StatusOr<StoredSession> session = Read();
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_EQ(session->id, kId);
  EXPECT_EQ(session->record.tenant, "alice");
  EXPECT_EQ(session->driver_epoch, 2);
  EXPECT_EQ(session->created_at, absl::FromUnixSeconds(1000));
  EXPECT_EQ(session->used_at, absl::FromUnixSeconds(1200));
  ASSERT_EQ(session->turns.size(), 1u);
  EXPECT_THAT(session->turns[0].generated, ElementsAre(7, 8));
  EXPECT_EQ(session->turns[0].end_reason, FinishReason::kDeadline);
}

TEST_F(StoredRowsTest, EveryValueOfEveryRowIsChecked) {
  for (SqlResult* const result :
       {&session_, &driver_, &turns_, &tokens_, &ends_}) {
    for (SqlValue& value : result->rows[0]) {
      const SqlValue good = value;
      if (auto* const number = std::get_if<int64_t>(&value)) {
        *number ^= 1;
      } else {
        std::get<std::string>(value) += "x";
      }
      const absl::StatusOr<StoredSession> session = Read();
      EXPECT_EQ(session.status().code(), absl::StatusCode::kDataLoss);
      EXPECT_THAT(std::string(session.status().message()), HasSubstr(kId));
      value = good;
    }
  }
  EXPECT_TRUE(Read().ok());
}

TEST_F(StoredRowsTest, MissingRowsAreFound) {
  const SqlResult none;
  const SqlResult tokens = tokens_;
  tokens_.rows.pop_back();  // the end is farther
  EXPECT_EQ(Read().status().code(), absl::StatusCode::kDataLoss);
  tokens_.rows = {tokens.rows[1]};  // a gap
  EXPECT_EQ(Read().status().code(), absl::StatusCode::kDataLoss);
  tokens_ = tokens;
  const SqlResult turns = std::exchange(turns_, none);
  EXPECT_EQ(Read().status().code(), absl::StatusCode::kDataLoss);
  turns_ = turns;
  session_ = none;
  EXPECT_EQ(Read().status().code(), absl::StatusCode::kNotFound);
  driver_ = none;
  EXPECT_EQ(Read().status().code(), absl::StatusCode::kNotFound);
}

TEST_F(StoredRowsTest, SummariesAreOfASessionAndItsDriver) {
  SqlResult result;
  std::vector<SqlValue> row = session_.rows[0];
  row.insert(row.end(), driver_.rows[0].begin(), driver_.rows[0].end());
  row.emplace_back(int64_t{1});
  result.rows = {row, row};
  std::get<std::string>(result.rows[1][1]) = "bob";
  const std::vector<SessionSummary> summaries = SummariesOfRows(result);
  ASSERT_EQ(summaries.size(), 2u);
  EXPECT_EQ(summaries[0].id, kId);
  EXPECT_EQ(summaries[0].turns, 1);
  EXPECT_TRUE(summaries[0].is_over);
  EXPECT_FALSE(summaries[0].is_damaged);
  EXPECT_TRUE(summaries[1].is_damaged);
}

}  // namespace
}  // namespace tandem
