#include "services/coordinator/store/sql_operations.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "services/coordinator/store/sql_schema.h"
#include "services/coordinator/store/stored_rows.h"
#include "tests/services/coordinator/store/store_fixture.h"

namespace tandem {
namespace {

using testing::IdOf;

const absl::Time kNow = absl::FromUnixSeconds(1764400059);

std::vector<const SqlStatement*> StatementsOf(const SqlOperation& operation) {
  std::vector<const SqlStatement*> statements;
  for (const SqlCall& call : operation.Calls()) {
    statements.push_back(call.statement);
  }
  return statements;
}

// Results of as many calls, each of which has changed `changed` rows.
std::vector<SqlResult> Results(const SqlOperation& operation, int64_t changed) {
  return std::vector<SqlResult>(operation.Calls().size(),
                                SqlResult{.changed = changed});
}

TEST(UsedAtTest, IsToTheMinute) {
  EXPECT_EQ(UsedAt(kNow), 1764400020);
  EXPECT_EQ(UsedAt(absl::FromUnixSeconds(1764400020)), 1764400020);
  EXPECT_EQ(UsedAt(absl::FromUnixSeconds(1764400080)), 1764400080);
}

TEST(MakeBeginTurnTest, LocksTheDriverFirst) {
  const TurnKey key{.session_id = IdOf(1), .epoch = 1, .turn = 2};
  TurnBegin begin = testing::BeginOf(key);
  begin.previous = TurnEnd{};
  std::optional<absl::Status> status;
  const auto operation =
      MakeBeginTurn(begin, kNow, [&](absl::Status answer) { status = answer; });
  EXPECT_EQ(operation->session_id(), IdOf(1));
  EXPECT_THAT(StatementsOf(*operation),
              ::testing::ElementsAre(&kTouchDriver, &kPutTokens, &kPutEnd,
                                     &kDropTokens, &kPutTurn));
  EXPECT_TRUE(operation->OnCommitted(Results(*operation, 1)));
  EXPECT_EQ(status, absl::OkStatus());
}

TEST(MakeAddTokensTest, AsksWhyWhereNothingChanged) {
  std::optional<absl::Status> status;
  const auto operation =
      MakeAddTokens({.key = {.session_id = IdOf(1), .epoch = 1, .turn = 1}},
                    kNow, [&](absl::Status answer) { status = answer; });
  EXPECT_FALSE(operation->OnCommitted(Results(*operation, 0)));
  EXPECT_FALSE(status.has_value());
  std::vector<SqlResult> results = Results(*operation, 0);
  results[0].rows = {
      InsertDriverCall({.session_id = IdOf(1), .epoch = 4, .turns = 1}).values};
  EXPECT_TRUE(operation->OnCommitted(results));
  EXPECT_EQ(status->code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(status->message()), ::testing::HasSubstr("epoch 4"));
}

TEST(MakeTakeOverTest, StartsAgainWhereAnotherWasFaster) {
  std::optional<absl::StatusCode> code;
  const auto operation =
      MakeTakeOver(IdOf(1), "alice", kNow,
                   [&](const absl::StatusOr<StoredSession>& session) {
                     code = session.status().code();
                   });
  std::vector<SqlResult> read = Results(*operation, 0);
  read[0].rows = {
      InsertDriverCall({.session_id = IdOf(1), .epoch = 4, .turns = 1}).values};
  read[1].rows = {InsertSessionCall(IdOf(1), {.tenant = "alice"}, 0).values};
  EXPECT_FALSE(operation->OnCommitted(read));
  int64_t epoch = 4;
  while (!code.has_value() && epoch < 1000) {
    const SqlCall raise = operation->Calls()[0];
    EXPECT_EQ(raise.statement, &kRaiseEpoch);
    EXPECT_EQ(raise.values[1], SqlValue(epoch));
    std::vector<SqlResult> results = Results(*operation, 0);
    ++epoch;
    results[1].rows = {
        InsertDriverCall({.session_id = IdOf(1), .epoch = epoch, .turns = 1})
            .values};
    operation->OnCommitted(results);
  }
  EXPECT_EQ(code, absl::StatusCode::kAborted);
  EXPECT_GT(epoch, 12);
}

TEST(MakePruneTest, DeletesWhatIsStillUnused) {
  std::optional<int64_t> deleted;
  const auto operation = MakePrune(
      {}, kNow,
      [&](const absl::StatusOr<int64_t>& count) { deleted = *count; });
  std::vector<SqlResult> idle = Results(*operation, 0);
  idle[0].rows = {{IdOf(2), int64_t{60}}, {IdOf(1), int64_t{0}}};
  idle[1].rows = {{int64_t{2}}};
  EXPECT_FALSE(operation->OnCommitted(idle));
  const std::vector<SqlCall> calls = operation->Calls();
  EXPECT_EQ(calls[0].statement, &kDeleteIdleDriver);
  EXPECT_THAT(calls[0].values, ::testing::ElementsAre(IdOf(1), int64_t{0}));
  // One of them was used meanwhile.
  std::vector<SqlResult> results = Results(*operation, 0);
  results[0].changed = 1;
  EXPECT_FALSE(operation->OnCommitted(results));
  idle[0].rows.clear();
  EXPECT_TRUE(operation->OnCommitted(idle));
  EXPECT_EQ(deleted, 1);
}

}  // namespace
}  // namespace tandem
