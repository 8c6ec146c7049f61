#include "services/coordinator/store/postgres_connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "services/coordinator/store/open_store.h"
#include "tests/services/coordinator/store/postgres_server.h"
#include "tests/services/coordinator/store/store_fixture.h"

namespace tandem {
namespace {

using ::testing::AllOf;
using testing::Begin;
using testing::BeginOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IdOf;
using testing::Load;
using ::testing::Not;
using testing::PostgresServer;
using ::testing::StartsWith;
using testing::StoreHome;
using testing::StoreKind;

class PostgresConnectionTest : public ::testing::Test {
 protected:
  PostgresConnectionTest()
      : server_(PostgresServer::Shared()), home_(StoreKind::kPostgres) {
    options_.address.address = home_.address();
    options_.allow_loss = true;
  }

  std::string Refusal() const {
    const absl::Status status = OpenPostgresStore(options_, {}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
    EXPECT_THAT(std::string(status.message()),
                StartsWith(options_.address.address));
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr("\n")));
    return std::string(status.message());
  }
  static absl::Status Make(StateStore* store, int64_t number) {
    return Begin(store,
                 BeginOf({.session_id = IdOf(number), .epoch = 1, .turn = 1}));
  }

  PostgresServer& server_;
  StoreHome home_;
  PostgresOptions options_;
};

TEST_F(PostgresConnectionTest, TypesComeBackAsTheyWere) {
  PostgresConnection connection(options_);
  ASSERT_EQ(connection.Open(), absl::OkStatus());
  constexpr SqlStatement kEcho = {"echo", "SELECT $3, $1, $2, $1, 7::integer",
                                  "tbi", "itbti"};
  const std::string bytes("\0\xff", 2);
  const SqlCall call{.statement = &kEcho,
                     .values = {std::string("a"), bytes, INT64_MIN}};
  const auto results = connection.Run({call, call});
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_THAT(results->at(1).rows,
              ElementsAre(ElementsAre(SqlValue(INT64_MIN), SqlValue("a"),
                                      SqlValue(bytes), SqlValue("a"),
                                      SqlValue(int64_t{7}))));
}

TEST_F(PostgresConnectionTest, ATransactionIsAllOrNothing) {
  EXPECT_TRUE(home_.Open().ok());
  PostgresConnection connection(options_);
  ASSERT_EQ(connection.Open(), absl::OkStatus());
  constexpr SqlStatement kInsert = {
      "insert", "INSERT INTO tandem_schema VALUES ($1)", "i"};
  constexpr SqlStatement kWrong = {"wrong", "SELECT 1 / $1", "i", "i"};
  constexpr SqlStatement kCount = {
      "count", "SELECT count(*) FROM tandem_schema", "", "i"};
  const SqlCall insert{.statement = &kInsert, .values = {int64_t{5}}};
  const SqlCall wrong{.statement = &kWrong, .values = {int64_t{0}}};
  for (int i = 0; i < 2; ++i) {
    const absl::Status status =
        connection.Run({insert, wrong, insert}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
    EXPECT_THAT(std::string(status.message()), HasSubstr("division by zero"));
  }
  const auto results = connection.Run({insert, {.statement = &kCount}});
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_EQ(results->at(0).changed, 1);
  EXPECT_THAT(results->at(1).rows, ElementsAre(ElementsAre(int64_t{2})));
}

TEST_F(PostgresConnectionTest, CommitsAreOnTheDisk) {
  PostgresConnection connection(options_);
  server_.Execute("postgres", "ALTER SYSTEM SET synchronous_commit = off");
  server_.Execute("postgres", "SELECT pg_reload_conf()");
  absl::SleepFor(absl::Milliseconds(200));
  ASSERT_EQ(connection.Open(), absl::OkStatus());
  constexpr SqlStatement kShow = {
      "show", "SELECT current_setting('synchronous_commit')", "", "t"};
  const auto results = connection.Run({{.statement = &kShow}});
  server_.Execute("postgres", "ALTER SYSTEM RESET synchronous_commit");
  server_.Execute("postgres", "SELECT pg_reload_conf()");
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_EQ(results->at(0).rows.at(0).at(0), SqlValue("on"));
}

TEST_F(PostgresConnectionTest, AServerThatMayLoseCommitsIsRefused) {
  options_.allow_loss = false;
  EXPECT_THAT(Refusal(),
              AllOf(HasSubstr("has fsync off"), HasSubstr("or allow loss")));
}

TEST_F(PostgresConnectionTest, ADatabaseHasUtf8) {
  options_.address.address =
      server_.Address(server_.MakeDatabase("ENCODING 'LATIN1' LOCALE 'C'"));
  EXPECT_THAT(Refusal(), AllOf(HasSubstr("has encoding LATIN1"),
                               HasSubstr("createdb --encoding=UTF8")));
}

TEST_F(PostgresConnectionTest, ADatabaseThatIsNotThereIsRefused) {
  options_.address.address = server_.Address("nowhere");
  EXPECT_THAT(Refusal(), AllOf(HasSubstr("\"nowhere\" does not exist"),
                               HasSubstr("createdb")));
}

TEST_F(PostgresConnectionTest, AUserMayMakeTables) {
  server_.Execute("postgres", "CREATE ROLE reader LOGIN");
  options_.address.address = server_.Address(server_.MakeDatabase(), "reader");
  EXPECT_THAT(Refusal(), HasSubstr("GRANT ALL ON SCHEMA"));
}

TEST_F(PostgresConnectionTest, PasswordsComeFromAFile) {
  server_.AskForPasswords();
  server_.Execute("postgres", "CREATE ROLE writer LOGIN PASSWORD 'hunter2'");
  const std::string database = server_.MakeDatabase("OWNER writer");
  options_.address.address = server_.Address(database, "writer");
  EXPECT_THAT(Refusal(), HasSubstr("put the password in a file"));

  std::string file = absl::StrCat(::testing::TempDir(), "/password_XXXXXX");
  close(mkstemp(file.data()));
  options_.address.password_file = file;
  std::ofstream(file) << "wrong\n";
  EXPECT_THAT(Refusal(), AllOf(HasSubstr("password authentication failed"),
                               HasSubstr(file), Not(HasSubstr("wrong"))));
  std::ofstream(file) << "hunter2\n";
  EXPECT_TRUE(OpenPostgresStore(options_, {}).ok());
  unlink(file.c_str());
  EXPECT_EQ(OpenPostgresStore(options_, {}).status().code(),
            absl::StatusCode::kInvalidArgument);
  options_.address.address =
      absl::StrCat(options_.address.address, "&password=hunter2");
  EXPECT_EQ(OpenPostgresStore(options_, {}).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(PostgresConnectionTest, AServerThatIsNotThereIsAway) {
  options_.address.address = "postgres://tandem@/test?host=/nowhere";
  const absl::Status status = OpenPostgresStore(options_, {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("No such file or directory"));
}

TEST_F(PostgresConnectionTest, AStoreIsAwayWithItsServerAndComesBack) {
  const auto store = home_.Open({.patience = absl::Milliseconds(300)});
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_EQ(Make(store->get(), 1), absl::OkStatus());
  server_.Stop("fast");
  const absl::Status status = Make(store->get(), 2);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  server_.Start();
  absl::Status back;
  for (int i = 0; i < 20; ++i) {
    back = Make(store->get(), 3);
    if (back.ok()) break;
  }
  EXPECT_EQ(back, absl::OkStatus());
  EXPECT_TRUE(Load(store->get(), IdOf(1)).ok());
}

// Turns begin all the time while the server is killed and started again: each
// one waits and is there.
TEST_F(PostgresConnectionTest, KillsOfTheServerLoseNothing) {
  const auto store = home_.Open({.patience = absl::Seconds(60)});
  ASSERT_TRUE(store.ok()) << store.status();
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  std::vector<std::vector<int64_t>> begun(4);
  for (size_t i = 0; i < begun.size(); ++i) {
    threads.emplace_back([&stop, &mine = begun[i], store = store->get(), i] {
      for (auto number = static_cast<int64_t>(i * 1000000 + 1); !stop;
           ++number) {
        const absl::Status status = Make(store, number);
        EXPECT_EQ(status, absl::OkStatus());
        mine.push_back(number);
      }
    });
  }
  for (int kill = 0; kill < 3; ++kill) {
    absl::SleepFor(absl::Milliseconds(200));
    if (kill == 1) {
      server_.Stop("immediate");
    } else {
      server_.Kill();
    }
    server_.Start();
    // One backend alone.
    server_.Execute(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
        "application_name = 'tandem-coordinator' LIMIT 1");
  }
  absl::SleepFor(absl::Milliseconds(200));
  stop = true;
  for (std::thread& thread : threads) thread.join();
  for (const std::vector<int64_t>& mine : begun) {
    EXPECT_GT(mine.size(), 10u);
    for (const int64_t number : mine) {
      ASSERT_TRUE(Load(store->get(), IdOf(number)).ok()) << number;
    }
  }
}

// Backends that are stopped in the middle, and go on later with what they were
// sent: the store has done it again meanwhile.
TEST_F(PostgresConnectionTest, StoppedBackendsChangeNothingWhenTheyGoOn) {
  options_.answer_timeout = absl::Milliseconds(200);
  const auto store =
      OpenPostgresStore(options_, {.patience = absl::Seconds(30)});
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_EQ(Make(store->get(), 1), absl::OkStatus());
  const std::string pids = server_.Execute(
      "postgres",
      "SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE "
      "application_name = 'tandem-coordinator'");
  const TurnKey key{.session_id = IdOf(1), .epoch = 1, .turn = 1};
  for (const auto& pid : absl::StrSplit(pids, ' ')) {
    ASSERT_EQ(kill(std::atoi(std::string(pid).c_str()), SIGSTOP), 0);
  }
  EXPECT_EQ(Begin(store->get(), BeginOf(key)), absl::OkStatus());
  EXPECT_EQ(testing::Add(store->get(), {.key = key, .tokens = {5, 6}}),
            absl::OkStatus());
  for (const auto& pid : absl::StrSplit(pids, ' ')) {
    ASSERT_EQ(kill(std::atoi(std::string(pid).c_str()), SIGCONT), 0);
  }
  absl::SleepFor(absl::Milliseconds(200));
  const absl::StatusOr<StoredSession> session = Load(store->get(), IdOf(1));
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_THAT(session->turns[0].generated, ElementsAre(5, 6));
}

}  // namespace
}  // namespace tandem
