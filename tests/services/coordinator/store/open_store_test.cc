#include "services/coordinator/store/open_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "tests/services/coordinator/store/store_fixture.h"

namespace tandem {
namespace {

using testing::BeginOf;
using testing::IdOf;
using testing::StoreHome;
using testing::StoreKind;

TEST(OpenSqliteStoreTest, AFolderIsOneProcessAlone) {
  const StoreHome home(StoreKind::kSqlite);
  auto store = home.Open();
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ(home.Open().status().code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_EQ(
      testing::Begin(store->get(),
                     BeginOf({.session_id = IdOf(1), .epoch = 1, .turn = 1})),
      absl::OkStatus());
  store->reset();
  store = home.Open();
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_TRUE(testing::Load(store->get(), IdOf(1)).ok());
}

TEST(OpenPostgresStoreTest, CoordinatorsMayStartAtOnce) {
  const StoreHome home(StoreKind::kPostgres);
  std::vector<std::thread> threads;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&home] {
      const auto store = home.Open();
      EXPECT_TRUE(store.ok()) << store.status();
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace tandem
