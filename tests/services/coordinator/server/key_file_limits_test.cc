#include "services/coordinator/server/key_file_limits.h"

#include <gtest/gtest.h>

#include "tests/services/access/key_files.h"

namespace tandem {
namespace {

TEST(KeyFileLimitsTest, AreThoseOfTheTenantWithTheKey) {
  KeyFile file = OneTenantFile("alice", HashOfApiKey(DrawApiKey()));
  file.tenants[0].limits = {.turns_max = 1,
                            .sessions_max = 2,
                            .queued_tokens_max = 3,
                            .tokens_per_minute = 4,
                            .kv_share = 0.5};
  const TemporaryKeyFile on_disk(file);
  prometheus::Registry registry;
  CallerGate gate(registry);
  ASSERT_TRUE(gate.UseKeyFile({.path = on_disk.path()}).ok());
  const KeyFileLimits source(&gate);
  const TenantLimits limits = source.LimitsOf("key:alice");
  EXPECT_EQ(limits.turns_max, 1);
  EXPECT_EQ(limits.sessions_max, 2);
  EXPECT_EQ(limits.queued_tokens_max, 3);
  EXPECT_EQ(limits.tokens_per_minute, 4);
  EXPECT_EQ(limits.kv_share, 0.5);
  // A certificate's name is no key's.
  for (const char* other : {"alice", "cn:alice", "key:bob", "default"}) {
    EXPECT_EQ(source.LimitsOf(other).turns_max, 0) << other;
  }
}

TEST(KeyFileLimitsTest, AreNoneWithoutAKeyFile) {
  prometheus::Registry registry;
  const CallerGate gate(registry);
  EXPECT_EQ(KeyFileLimits(&gate).LimitsOf("key:alice").sessions_max, 0);
}

}  // namespace
}  // namespace tandem
