#include "services/coordinator/store/memory_state_store.h"

#include <gtest/gtest.h>

#include "tests/services/coordinator/store/store_fixture.h"

namespace tandem {
namespace {

// state_store_test.cc tests what it shares with the others. A simulation counts
// on what stands here: it has one thread.
TEST(MemoryStateStoreTest, ACallIsOverWhenItReturns) {
  MemoryStateStore store;
  const TurnKey key{.session_id = testing::IdOf(1), .epoch = 1, .turn = 1};
  bool begun = false;
  store.BeginTurn(testing::BeginOf(key), [&](absl::Status status) {
    EXPECT_EQ(status, absl::OkStatus());
    begun = true;
    // No lock is held: the store may be called.
    store.AddTokens({.key = key, .tokens = {1}}, [](absl::Status added) {
      EXPECT_EQ(added, absl::OkStatus());
    });
  });
  EXPECT_TRUE(begun);
  const absl::StatusOr<StoredSession> session =
      testing::Load(&store, testing::IdOf(1));
  ASSERT_TRUE(session.ok()) << session.status();
  EXPECT_EQ(session->turns[0].generated.size(), 1u);
}

}  // namespace
}  // namespace tandem
