// What the stores in databases promise: nothing that was acknowledged is lost.

#include "services/coordinator/store/sql_state_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/services/coordinator/store/store_fixture.h"

namespace tandem {
namespace {

using testing::Add;
using ::testing::AllOf;
using testing::Begin;
using testing::BeginOf;
using testing::Delete;
using ::testing::ElementsAre;
using testing::End;
using ::testing::HasSubstr;
using testing::IdOf;
using testing::List;
using testing::Load;
using testing::StoreHome;
using testing::StoreKind;
using testing::TakeOver;

class SqlStateStoreTest : public ::testing::TestWithParam<StoreKind> {
 protected:
  SqlStateStoreTest() : home_(GetParam()) {}

  std::unique_ptr<StateStore> Open() {
    auto store = home_.Open();
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }
  void Execute(const std::string& sql) {
    const absl::Status status = home_.Connect()->RunScript(sql);
    ASSERT_TRUE(status.ok()) << sql << ": " << status;
  }

  StoreHome home_;
};

INSTANTIATE_TEST_SUITE_P(Stores, SqlStateStoreTest,
                         ::testing::Values(StoreKind::kSqlite,
                                           StoreKind::kPostgres),
                         [](const auto& kind) {
                           return testing::KindName(kind.param);
                         });

TEST_P(SqlStateStoreTest, SessionsOutliveTheStore) {
  const TurnKey key{.session_id = IdOf(1), .epoch = 1, .turn = 1};
  {
    const std::unique_ptr<StateStore> store = Open();
    ASSERT_EQ(Begin(store.get(), BeginOf(key)), absl::OkStatus());
    ASSERT_EQ(Add(store.get(), {.key = key, .tokens = {10, 11}}),
              absl::OkStatus());
  }
  const std::unique_ptr<StateStore> store = Open();
  const absl::StatusOr<StoredSession> taken = TakeOver(store.get(), IdOf(1));
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(taken->driver_epoch, 2);
  EXPECT_THAT(taken->turns[0].generated, ElementsAre(10, 11));
  EXPECT_EQ(taken->turns[0].record, BeginOf(key).turn);
}

// What a writer was told is committed, by number of its session: how many
// tokens, and -1 after them for the end.
using Acknowledged = std::map<int64_t, std::vector<int64_t>>;

// Begins turns, adds tokens and ends, as fast as it can, and reports to the
// pipe what is committed, until it is killed.
[[noreturn]] void WriteUntilKilled(StateStore* store, int64_t first, int pipe) {
  std::atomic<int> under_way{0};
  for (int64_t number = first;; ++number) {
    while (under_way > 200) std::this_thread::yield();
    const auto report = [&under_way, pipe, number](int64_t what) {
      ++under_way;
      return [&under_way, pipe, number, what](absl::Status status) {
        if (!status.ok()) _exit(1);
        const int64_t line[2] = {number, what};
        if (write(pipe, line, sizeof(line)) != sizeof(line)) _exit(1);
        --under_way;
      };
    };
    const TurnKey key{.session_id = IdOf(number), .epoch = 1, .turn = 1};
    store->BeginTurn(BeginOf(key), report(0));
    store->AddTokens({.key = key, .tokens = {0, 1, 2}}, report(3));
    store->AddTokens({.key = key, .first_token = 3, .tokens = {3}}, report(4));
    store->EndTurn({.last = {.key = key, .first_token = 4},
                    .reason = FinishReason::kCancelled},
                   report(-1));
  }
}

// Lets a process write for some time and kills it; what it had reported.
Acknowledged WriteAndKill(const StoreHome& home, int64_t first,
                          absl::Duration time) {
  int pipes[2];
  EXPECT_EQ(pipe(pipes), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(pipes[0]);
    auto store = home.Open();
    if (!store.ok()) _exit(1);
    WriteUntilKilled(store->get(), first, pipes[1]);
  }
  close(pipes[1]);
  absl::SleepFor(time);
  EXPECT_EQ(kill(child, SIGKILL), 0);
  Acknowledged acknowledged;
  int64_t line[2];
  while (read(pipes[0], line, sizeof(line)) == sizeof(line)) {
    acknowledged[line[0]].push_back(line[1]);
  }
  close(pipes[0]);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status)) << status;
  return acknowledged;
}

TEST_P(SqlStateStoreTest, WhatIsAcknowledgedOutlivesAKill) {
  size_t seen = 0;
  for (int round = 0; round < 5; ++round) {
    const int64_t first = 1000000 * round + 1;
    const Acknowledged acknowledged =
        WriteAndKill(home_, first, absl::Milliseconds(300 + 37 * round));
    const std::unique_ptr<StateStore> store = Open();
    for (const auto& [number, reports] : acknowledged) {
      const absl::StatusOr<StoredSession> session =
          Load(store.get(), IdOf(number));
      ASSERT_TRUE(session.ok()) << session.status();
      const StoredTurn& turn = session->turns.at(0);
      for (const int64_t report : reports) {
        if (report < 0) {
          EXPECT_EQ(turn.end_reason, FinishReason::kCancelled);
        } else {
          EXPECT_GE(turn.generated.size(), static_cast<size_t>(report));
        }
      }
      seen += reports.size();
    }
  }
  EXPECT_GT(seen, 100u);
}

// Each table's row of the second session, damaged in a way that the schema
// allows.
TEST_P(SqlStateStoreTest, ADamagedRowIsRefusedByNameAndTheOthersGoOn) {
  const std::pair<std::string, std::string> damages[] = {
      {"tandem_sessions", "UPDATE tandem_sessions SET model_id = 'other'"},
      {"tandem_drivers", "UPDATE tandem_drivers SET turns = 3"},
      {"tandem_turns", "UPDATE tandem_turns SET fingerprint = 'f2'"},
      {"tandem_tokens", "UPDATE tandem_tokens SET elapsed_ms = 1"},
      {"tandem_ends", "UPDATE tandem_ends SET reason = 'length'"}};
  for (const auto& [table, damage] : damages) {
    const std::unique_ptr<StateStore> store = Open();
    for (int64_t number = 1; number <= 3; ++number) {
      const TurnKey key{.session_id = IdOf(number), .epoch = 1, .turn = 1};
      ASSERT_EQ(Begin(store.get(), BeginOf(key)), absl::OkStatus());
      ASSERT_EQ(End(store.get(), {.last = {.key = key, .tokens = {5}}}),
                absl::OkStatus());
    }
    Execute(absl::StrCat(damage, " WHERE session_id = '", IdOf(2), "'"));
    for (const absl::Status& status :
         {Load(store.get(), IdOf(2)).status(),
          TakeOver(store.get(), IdOf(2)).status()}) {
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << table;
      EXPECT_THAT(std::string(status.message()),
                  AllOf(HasSubstr(IdOf(2)), HasSubstr(table)));
    }
    EXPECT_TRUE(TakeOver(store.get(), IdOf(1)).ok());
    EXPECT_TRUE(Load(store.get(), IdOf(3)).ok());
    const absl::StatusOr<std::vector<SessionSummary>> all = List(store.get());
    ASSERT_TRUE(all.ok()) << all.status();
    EXPECT_FALSE(all->at(0).is_damaged);
    EXPECT_EQ(all->at(1).is_damaged,
              table == "tandem_sessions" || table == "tandem_drivers");
    for (int64_t number = 1; number <= 3; ++number) {
      EXPECT_EQ(Delete(store.get(), IdOf(number)), absl::OkStatus());
    }
  }
}

TEST_P(SqlStateStoreTest, MissingRowsAreFound) {
  for (const std::string& damage :
       {std::string("DELETE FROM tandem_turns WHERE turn = 1"),
        std::string("DELETE FROM tandem_turns WHERE turn = 2"),
        std::string("DELETE FROM tandem_tokens WHERE first_token = 0"),
        std::string("DELETE FROM tandem_tokens WHERE first_token = 1")}) {
    const std::unique_ptr<StateStore> store = Open();
    const TurnKey key{.session_id = IdOf(1), .epoch = 1, .turn = 1};
    ASSERT_EQ(Begin(store.get(), BeginOf(key)), absl::OkStatus());
    ASSERT_EQ(Add(store.get(), {.key = key, .tokens = {5}}), absl::OkStatus());
    ASSERT_EQ(End(store.get(),
                  {.last = {.key = key, .first_token = 1, .tokens = {6}}}),
              absl::OkStatus());
    ASSERT_EQ(Begin(store.get(),
                    BeginOf({.session_id = IdOf(1), .epoch = 1, .turn = 2})),
              absl::OkStatus());
    Execute(damage);
    EXPECT_EQ(Load(store.get(), IdOf(1)).status().code(),
              absl::StatusCode::kDataLoss)
        << damage;
    EXPECT_EQ(Delete(store.get(), IdOf(1)), absl::OkStatus());
  }
}

// Of several coordinators that share sessions and write at once none waits for
// another for ever, and a session has one driver.
TEST(SqlStateStoreOnPostgresTest, CoordinatorsShareSessions) {
  const StoreHome home(StoreKind::kPostgres);
  constexpr int kStores = 3;
  constexpr int64_t kSessions = 8;
  constexpr int kRounds = 40;
  std::vector<std::unique_ptr<StateStore>> stores;
  for (int i = 0; i < kStores; ++i) stores.push_back(*home.Open());
  for (int64_t number = 1; number <= kSessions; ++number) {
    ASSERT_EQ(
        Begin(stores[0].get(),
              BeginOf({.session_id = IdOf(number), .epoch = 1, .turn = 1})),
        absl::OkStatus());
  }
  // Each takes sessions over and adds the token that is next, if it still
  // drives then: in the end there are as many tokens as were acknowledged.
  std::vector<std::atomic<int64_t>> added(kSessions + 1);
  std::vector<std::thread> threads;
  for (int i = 0; i < kStores; ++i) {
    threads.emplace_back(
        [&added, store = stores[static_cast<size_t>(i)].get(), i] {
          for (int round = 0; round < kRounds; ++round) {
            const int64_t number = (round * 5 + i) % kSessions + 1;
            const absl::StatusOr<StoredSession> taken =
                TakeOver(store, IdOf(number));
            ASSERT_TRUE(taken.ok()) << taken.status();
            const auto next =
                static_cast<TokenId>(taken->turns[0].generated.size());
            const absl::Status status =
                End(store, {.last = {.key = {.session_id = IdOf(kSessions + 1),
                                             .epoch = 1,
                                             .turn = 1}}});
            EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
            const absl::Status wrote =
                Add(store, {.key = {.session_id = IdOf(number),
                                    .epoch = taken->driver_epoch,
                                    .turn = 1},
                            .first_token = next,
                            .tokens = {next}});
            if (wrote.ok()) {
              ++added[static_cast<size_t>(number)];
            } else {
              EXPECT_EQ(wrote.code(), absl::StatusCode::kAborted) << wrote;
            }
          }
        });
  }
  for (std::thread& thread : threads) thread.join();
  int64_t sum = 0;
  for (int64_t number = 1; number <= kSessions; ++number) {
    const absl::StatusOr<StoredSession> session =
        Load(stores[0].get(), IdOf(number));
    ASSERT_TRUE(session.ok()) << session.status();
    const std::vector<TokenId>& generated = session->turns[0].generated;
    EXPECT_EQ(static_cast<int64_t>(generated.size()),
              added[static_cast<size_t>(number)]);
    for (size_t i = 0; i < generated.size(); ++i) {
      EXPECT_EQ(generated[i], static_cast<TokenId>(i));
    }
    sum += static_cast<int64_t>(generated.size());
  }
  EXPECT_GT(sum, 0);
}

}  // namespace
}  // namespace tandem
