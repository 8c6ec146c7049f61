#include "services/coordinator/store/sql_schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <regex>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "services/coordinator/store/sql_state_store.h"
#include "tests/services/coordinator/store/store_fixture.h"

namespace tandem {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::StoreHome;
using testing::StoreKind;

class SqlSchemaTest : public ::testing::TestWithParam<StoreKind> {
 protected:
  SqlSchemaTest() : home_(GetParam()) {
    // Makes the folder.
    EXPECT_TRUE(home_.Open().ok());
    connection_ = home_.Connect();
  }

  std::vector<std::vector<SqlValue>> Rows(const SqlStatement& statement) {
    const SqlCall call{.statement = &statement};
    auto results = connection_->Run(absl::MakeConstSpan(&call, 1));
    EXPECT_TRUE(results.ok()) << results.status();
    return results.ok() ? results->at(0).rows
                        : std::vector<std::vector<SqlValue>>();
  }
  // The statements of a stored file. It holds bytes as SQLite writes them.
  void RunFile(const std::string& name) {
    std::ifstream file(absl::StrCat(
        TANDEM_SOURCE_DIR "/tests/services/coordinator/store/", name));
    ASSERT_TRUE(file.is_open()) << name;
    std::string script((std::istreambuf_iterator<char>(file)), {});
    if (GetParam() == StoreKind::kPostgres) {
      script = std::regex_replace(script, std::regex("X'([0-9a-f]*)'"),
                                  "'\\x$1'::bytea");
    }
    const absl::Status status = connection_->RunScript(script);
    ASSERT_TRUE(status.ok()) << status;
  }

  StoreHome home_;
  std::unique_ptr<SqlConnection> connection_;
};

INSTANTIATE_TEST_SUITE_P(Stores, SqlSchemaTest,
                         ::testing::Values(StoreKind::kSqlite,
                                           StoreKind::kPostgres),
                         [](const auto& kind) {
                           return testing::KindName(kind.param);
                         });

constexpr SqlStatement kVersion = {
    "version", "SELECT version FROM tandem_schema", "", "i"};

TEST_P(SqlSchemaTest, IsMadeOnce) {
  EXPECT_THAT(Rows(kVersion), ElementsAre(ElementsAre(SqlValue(int64_t{1}))));
  EXPECT_EQ(MigrateSchema(connection_.get()), absl::OkStatus());
  EXPECT_THAT(Rows(kVersion), ElementsAre(ElementsAre(SqlValue(int64_t{1}))));
}

// The sessions of a store as version 1 wrote it.
TEST_P(SqlSchemaTest, AStoredOlderStoreIsReadAndBroughtToTheNextVersion) {
  RunFile("store_v1.sql");
  std::vector<std::string> migrations = SchemaMigrations();
  migrations.push_back(
      "ALTER TABLE tandem_turns ADD COLUMN priority BIGINT NOT NULL DEFAULT "
      "5;");
  EXPECT_EQ(MigrateSchema(connection_.get(), migrations), absl::OkStatus());
  constexpr SqlStatement kPriorities = {
      "priorities", "SELECT priority FROM tandem_turns", "", "i"};
  EXPECT_THAT(Rows(kPriorities),
              ElementsAre(ElementsAre(SqlValue(int64_t{5})),
                          ElementsAre(SqlValue(int64_t{5}))));
  EXPECT_THAT(Rows(kVersion), ElementsAre(ElementsAre(SqlValue(int64_t{2}))));

  std::vector<std::unique_ptr<SqlConnection>> connections;
  connections.push_back(std::move(connection_));
  SqlStateStore store(std::move(connections), {});
  const absl::StatusOr<StoredSession> session =
      testing::Load(&store, "00112233445566778899aabbccddeeff");
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_EQ(session->record.tenant, "alice");
  EXPECT_EQ(session->record.model_id, "tiny");
  EXPECT_EQ(session->driver_epoch, 3);
  ASSERT_EQ(session->turns.size(), 2u);
  EXPECT_THAT(session->turns[0].record.prompt, ElementsAre(1, 2, 3));
  EXPECT_EQ(session->turns[0].record.setup, "setup");
  EXPECT_THAT(session->turns[0].generated, ElementsAre(4, 5, 6));
  EXPECT_EQ(session->turns[0].elapsed_ms, 70);
  EXPECT_EQ(session->turns[0].end_reason, FinishReason::kStopToken);
  EXPECT_EQ(session->turns[0].figures, "figures");
  EXPECT_EQ(session->turns[1].begun_epoch, 3);
  EXPECT_EQ(session->turns[1].end_reason, std::nullopt);
}

TEST_P(SqlSchemaTest, AMigrationThatFailsChangesNothing) {
  std::vector<std::string> migrations = SchemaMigrations();
  migrations.push_back("CREATE TABLE half (a BIGINT); SELECT nothing;");
  EXPECT_FALSE(MigrateSchema(connection_.get(), migrations).ok());
  EXPECT_THAT(Rows(kVersion), ElementsAre(ElementsAre(SqlValue(int64_t{1}))));
  EXPECT_FALSE(connection_->RunScript("SELECT a FROM half").ok());
}

TEST_P(SqlSchemaTest, ANewerOneIsRefusedByName) {
  ASSERT_EQ(connection_->RunScript("UPDATE tandem_schema SET version = 7"),
            absl::OkStatus());
  connection_.reset();
  const absl::Status status = home_.Open().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(
      std::string(status.message()),
      AllOf(HasSubstr(GetParam() == StoreKind::kSqlite ? home_.folder()
                                                       : home_.address()),
            HasSubstr("version 7"), HasSubstr("knows 1"),
            HasSubstr("run the newer version")));
}

}  // namespace
}  // namespace tandem
