#include "services/coordinator/store/sqlite_connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/coordinator/store/sql_schema.h"
#include "tests/services/coordinator/store/store_fixture.h"

namespace {

// What SQLite's syncs answer: the system's own, or an error.
std::atomic<bool> syncs_fail{false};
std::atomic<int> syncs{0};

}  // namespace

// SQLite calls this one, as a program's own functions come first.
extern "C" int fdatasync(int file) {
  ++syncs;
  if (syncs_fail) {
    errno = EIO;
    return -1;
  }
  return static_cast<int>(syscall(SYS_fdatasync, file));
}

namespace tandem {
namespace {

using testing::Add;
using ::testing::AllOf;
using testing::Begin;
using testing::BeginOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::IdOf;
using testing::List;
using testing::Load;
using testing::StoreHome;
using testing::StoreKind;

// No test of this file waits for a disk to come back.
constexpr StoreLimits kAtOnce = {.patience = absl::Milliseconds(50)};

class SqliteConnectionTest : public ::testing::Test {
 protected:
  SqliteConnectionTest() : home_(StoreKind::kSqlite) {}
  ~SqliteConnectionTest() override { syncs_fail = false; }

  std::unique_ptr<StateStore> Open() {
    auto store = home_.Open(kAtOnce);
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }
  // Begins session `number`.
  static absl::Status Make(StateStore* store, int64_t number) {
    return Begin(store,
                 BeginOf({.session_id = IdOf(number), .epoch = 1, .turn = 1}));
  }
  // Opens the store of a file that was damaged after Fill. How many sessions
  // it refuses; the others are as they were.
  int CountRefused() const {
    const auto store = home_.Open(kAtOnce);
    if (!store.ok()) {
      EXPECT_THAT(std::string(store.status().message()),
                  HasSubstr(home_.folder()));
      return kSessions;
    }
    int refused = 0;
    for (int64_t number = 1; number <= kSessions; ++number) {
      const absl::StatusOr<StoredSession> session =
          Load(store->get(), IdOf(number));
      if (!session.ok()) {
        ++refused;
        continue;
      }
      const TurnBegin begin =
          BeginOf({.session_id = IdOf(number), .epoch = 1, .turn = 1});
      EXPECT_EQ(session->record.tenant, "alice");
      EXPECT_EQ(session->turns.at(0).record, begin.turn);
      EXPECT_EQ(session->turns.at(0).end_reason, std::nullopt);
    }
    return refused;
  }
  // That many sessions in the file, and nothing in its log.
  static constexpr int64_t kSessions = 200;
  void Fill() {
    const std::unique_ptr<StateStore> store = Open();
    for (int64_t number = 1; number < kSessions; ++number) {
      store->BeginTurn(
          BeginOf({.session_id = IdOf(number), .epoch = 1, .turn = 1}),
          [](absl::Status status) { EXPECT_EQ(status, absl::OkStatus()); });
    }
    EXPECT_EQ(Make(store.get(), kSessions), absl::OkStatus());
  }

  StoreHome home_;
};

TEST_F(SqliteConnectionTest, TypesComeBackAsTheyWere) {
  EXPECT_TRUE(home_.Open().ok());
  SqliteConnection connection(home_.file());
  ASSERT_EQ(connection.Open(), absl::OkStatus());
  constexpr SqlStatement kEcho = {"echo", "SELECT $3, $1, $2, $1", "tbi",
                                  "itbt"};
  const std::string bytes("\0\xff", 2);
  const SqlCall call{.statement = &kEcho,
                     .values = {std::string("a"), bytes, INT64_MIN}};
  const auto results = connection.Run({call, call});
  ASSERT_TRUE(results.ok()) << results.status();
  ASSERT_EQ(results->size(), 2u);
  EXPECT_THAT(results->at(1).rows,
              ElementsAre(ElementsAre(SqlValue(INT64_MIN), SqlValue("a"),
                                      SqlValue(bytes), SqlValue("a"))));
}

TEST_F(SqliteConnectionTest, ATransactionIsAllOrNothing) {
  EXPECT_TRUE(home_.Open().ok());
  SqliteConnection connection(home_.file());
  ASSERT_EQ(connection.Open(), absl::OkStatus());
  constexpr SqlStatement kInsert = {
      "insert", "INSERT INTO tandem_schema VALUES ($1)", "i"};
  constexpr SqlStatement kWrong = {"wrong", "SELECT nothing", ""};
  constexpr SqlStatement kCount = {
      "count", "SELECT count(*) FROM tandem_schema", "", "i"};
  const SqlCall insert{.statement = &kInsert, .values = {int64_t{5}}};
  EXPECT_EQ(connection.Run({insert, {.statement = &kWrong}}).status().code(),
            absl::StatusCode::kDataLoss);
  const auto results = connection.Run({insert, {.statement = &kCount}});
  ASSERT_TRUE(results.ok()) << results.status();
  EXPECT_EQ(results->at(0).changed, 1);
  EXPECT_THAT(results->at(1).rows, ElementsAre(ElementsAre(int64_t{2})));
}

TEST_F(SqliteConnectionTest, ACommitIsASync) {
  const std::unique_ptr<StateStore> store = Open();
  const int before = syncs;
  ASSERT_EQ(Make(store.get(), 1), absl::OkStatus());
  EXPECT_GE(syncs, before + 1);
}

TEST_F(SqliteConnectionTest, OnlyItsUserReadsTheFile) {
  const std::unique_ptr<StateStore> store = Open();
  ASSERT_EQ(Make(store.get(), 1), absl::OkStatus());
  struct stat info;
  ASSERT_EQ(stat(home_.folder().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(SqliteConnectionTest, AFailedSyncIsAnErrorAndNothingIsBuiltOnIt) {
  {
    const std::unique_ptr<StateStore> store = Open();
    ASSERT_EQ(Make(store.get(), 1), absl::OkStatus());
    syncs_fail = true;
    const absl::Status status = Make(store.get(), 2);
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(
        std::string(status.message()),
        AllOf(HasSubstr(home_.file()), HasSubstr("see whether that fails")));
    syncs_fail = false;
    ASSERT_EQ(Make(store.get(), 3), absl::OkStatus());
  }
  const std::unique_ptr<StateStore> store = Open();
  EXPECT_TRUE(Load(store.get(), IdOf(1)).ok());
  EXPECT_TRUE(Load(store.get(), IdOf(3)).ok());
}

TEST_F(SqliteConnectionTest, AFullDiskIsAnErrorUntilThereIsRoom) {
  const std::unique_ptr<StateStore> store = Open();
  ASSERT_EQ(Make(store.get(), 1), absl::OkStatus());
  // A write past the limit is a signal, and an error for who ignores that.
  ASSERT_NE(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 256 << 10;
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  TurnBegin large = BeginOf({.session_id = IdOf(2), .epoch = 1, .turn = 1});
  large.turn.prompt.resize(131072, 1);
  const absl::Status status = Begin(store.get(), large);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(home_.file()), HasSubstr("make room")));
  EXPECT_EQ(Begin(store.get(), large), absl::OkStatus());
  EXPECT_TRUE(Load(store.get(), IdOf(1)).ok());
  EXPECT_TRUE(Load(store.get(), IdOf(2)).ok());
}

// Wherever the file is cut, each session is as it was, or is refused; one that
// is cut to nothing is a new file.
TEST_F(SqliteConnectionTest, ATruncatedFileChangesNoSession) {
  Fill();
  const std::string whole = absl::StrCat(home_.folder(), "/whole");
  std::filesystem::copy_file(home_.file(), whole);
  const auto size = std::filesystem::file_size(whole);
  int refused = 0;
  for (uintmax_t cut = 1; cut < size; cut += 3001) {
    std::filesystem::copy_file(
        whole, home_.file(), std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(home_.file(), cut);
    refused += CountRefused();
  }
  EXPECT_GT(refused, 1000);
}

// As a flipped bit in the name of a column makes it.
TEST_F(SqliteConnectionTest, AnotherSchemaIsDamage) {
  const std::unique_ptr<StateStore> store = Open();
  ASSERT_EQ(Make(store.get(), 1), absl::OkStatus());
  SqliteConnection other(home_.file());
  ASSERT_EQ(other.Open(), absl::OkStatus());
  ASSERT_EQ(other.RunScript("ALTER TABLE tandem_ends RENAME COLUMN "
                            "end_position TO enddposition"),
            absl::OkStatus());
  const absl::Status status = Load(store.get(), IdOf(1)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(home_.file()), HasSubstr("move it away")));
}

// As a process that was killed leaves it, with all in the log.
TEST_F(SqliteConnectionTest, ALogWithoutItsFileIsRefused) {
  const std::string log = home_.file() + "-wal";
  const std::string kept = home_.folder() + "/kept";
  {
    const std::unique_ptr<StateStore> store = Open();
    ASSERT_EQ(Make(store.get(), 1), absl::OkStatus());
    std::filesystem::copy_file(log, kept);
  }
  std::filesystem::rename(kept, log);
  std::filesystem::resize_file(home_.file(), 99);
  for (int i = 0; i < 2; ++i) {
    const absl::Status status = home_.Open(kAtOnce).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()),
                AllOf(HasSubstr(log), HasSubstr("move both away")));
    std::filesystem::remove(home_.file());
  }
  EXPECT_TRUE(std::filesystem::exists(log));
}

// Whatever bit is flipped, each session is as it was, or is refused.
TEST_F(SqliteConnectionTest, AFlippedBitChangesNoSession) {
  Fill();
  const std::string whole = absl::StrCat(home_.folder(), "/whole");
  std::filesystem::copy_file(home_.file(), whole);
  const auto size = std::filesystem::file_size(whole);
  int refused = 0;
  int flips = 0;
  for (uintmax_t at = 100; at < size; at += 1499) {
    std::filesystem::copy_file(
        whole, home_.file(), std::filesystem::copy_options::overwrite_existing);
    {
      std::fstream file(home_.file(),
                        std::ios::in | std::ios::out | std::ios::binary);
      file.seekg(static_cast<std::streamoff>(at));
      const char byte = static_cast<char>(file.get());
      file.seekp(static_cast<std::streamoff>(at));
      file.put(static_cast<char>(byte ^ (1 << (at % 8))));
    }
    ++flips;
    refused += CountRefused();
  }
  EXPECT_GT(refused, 0);
  EXPECT_LT(refused, flips * kSessions / 2);
}

TEST_F(SqliteConnectionTest, WhatIsNoDatabaseIsRefused) {
  std::ofstream(home_.file()) << std::string(8192, 'x');
  const absl::Status status = home_.Open(kAtOnce).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr(home_.file()), HasSubstr("move it away")));
}

TEST_F(SqliteConnectionTest, AFolderInItsPlaceIsRefused) {
  ASSERT_EQ(mkdir(home_.file().c_str(), 0700), 0);
  const absl::Status status = home_.Open(kAtOnce).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr(home_.file()));
}

}  // namespace
}  // namespace tandem
