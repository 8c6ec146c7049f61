#include "tests/services/coordinator/store/store_fixture.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/check.h"
#include "services/coordinator/store/memory_state_store.h"
#include "services/coordinator/store/open_store.h"
#include "services/coordinator/store/postgres_connection.h"
#include "services/coordinator/store/sqlite_connection.h"
#include "tests/services/coordinator/store/postgres_server.h"

namespace tandem::testing {

absl::Status Begin(StateStore* store, TurnBegin begin) {
  return AwaitStatus([&](StateStore::Committed done) {
    store->BeginTurn(std::move(begin), std::move(done));
  });
}

absl::Status Add(StateStore* store, TurnTokens tokens) {
  return AwaitStatus([&](StateStore::Committed done) {
    store->AddTokens(std::move(tokens), std::move(done));
  });
}

absl::Status End(StateStore* store, TurnEnd end) {
  return AwaitStatus([&](StateStore::Committed done) {
    store->EndTurn(std::move(end), std::move(done));
  });
}

absl::StatusOr<StoredSession> TakeOver(StateStore* store,
                                       const std::string& session_id,
                                       const std::string& tenant) {
  return AwaitValue<StoredSession>([&](StateStore::Answer<StoredSession> done) {
    store->TakeOver(session_id, tenant, std::move(done));
  });
}

absl::StatusOr<StoredSession> Load(StateStore* store,
                                   const std::string& session_id) {
  return AwaitValue<StoredSession>([&](StateStore::Answer<StoredSession> done) {
    store->Load(session_id, std::move(done));
  });
}

absl::StatusOr<std::vector<std::string>> FindLost(
    StateStore* store, std::vector<HeldSession> held) {
  using Lost = std::vector<std::string>;
  return AwaitValue<Lost>([&](StateStore::Answer<Lost> done) {
    store->FindLost(std::move(held), std::move(done));
  });
}

absl::StatusOr<std::vector<SessionSummary>> List(StateStore* store,
                                                 SessionsOf which,
                                                 const std::string& after) {
  using Summaries = std::vector<SessionSummary>;
  return AwaitValue<Summaries>([&](StateStore::Answer<Summaries> done) {
    store->List(std::move(which), after, std::move(done));
  });
}

absl::Status Delete(StateStore* store, const std::string& session_id,
                    SessionsOf which) {
  return AwaitStatus([&](StateStore::Committed done) {
    store->Delete(std::move(which), session_id, std::move(done));
  });
}

absl::StatusOr<int64_t> Prune(StateStore* store, const Retention& retention) {
  return AwaitValue<int64_t>([&](StateStore::Answer<int64_t> done) {
    store->Prune(retention, std::move(done));
  });
}

std::string IdOf(int64_t number) { return absl::StrFormat("%032x", number); }

TurnBegin BeginOf(const TurnKey& key) {
  TurnBegin begin{
      .key = key,
      .turn = {.fingerprint = "f1",
               .prompt = {1, 2, static_cast<TokenId>(key.turn)},
               .setup = absl::StrCat("options of turn ", key.turn)}};
  if (key.turn == 1) {
    begin.session = SessionRecord{
        .tenant = "alice", .model_id = "tiny", .vocabulary_fingerprint = "v1"};
  }
  return begin;
}

std::string KindName(StoreKind kind) {
  switch (kind) {
    case StoreKind::kMemory:
      return "Memory";
    case StoreKind::kSqlite:
      return "Sqlite";
    case StoreKind::kPostgres:
      return "Postgres";
  }
  return "";
}

StoreHome::StoreHome(StoreKind kind) : kind_(kind) {
  if (kind == StoreKind::kSqlite) {
    std::string folder = absl::StrCat(::testing::TempDir(), "/store_XXXXXX");
    TANDEM_CHECK(mkdtemp(folder.data()) != nullptr);
    folder_ = folder;
  } else if (kind == StoreKind::kPostgres) {
    PostgresServer& server = PostgresServer::Shared();
    address_ = server.Address(server.MakeDatabase());
  }
}

StoreHome::~StoreHome() {
  if (!folder_.empty()) std::filesystem::remove_all(folder_);
}

std::string StoreHome::file() const {
  return absl::StrCat(folder_, "/sessions.sqlite");
}

absl::StatusOr<std::unique_ptr<StateStore>> StoreHome::Open(
    const StoreLimits& limits) const {
  switch (kind_) {
    case StoreKind::kMemory:
      return std::make_unique<MemoryStateStore>();
    case StoreKind::kSqlite:
      return OpenSqliteStore(folder_, limits);
    case StoreKind::kPostgres:
      return OpenPostgresStore(
          {.address = {.address = address_}, .allow_loss = true}, limits);
  }
  return absl::UnknownError("no such kind");
}

std::unique_ptr<SqlConnection> StoreHome::Connect() const {
  std::unique_ptr<SqlConnection> connection;
  if (kind_ == StoreKind::kSqlite) {
    connection = std::make_unique<SqliteConnection>(file());
  } else {
    connection = std::make_unique<PostgresConnection>(
        PostgresOptions{.address = {.address = address_}, .allow_loss = true});
  }
  const absl::Status opened = connection->Open();
  EXPECT_TRUE(opened.ok()) << opened;
  return connection;
}

}  // namespace tandem::testing
