#include "services/common/listen/inbound_limits.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

namespace tandem {
namespace {

constexpr int64_t kGiB = int64_t{1} << 30;

InboundLimits OfClients(int64_t memory_bytes) {
  return InboundLimitsOf(PortUse::kClients,
                         {.descriptors = 1000, .memory_bytes = memory_bytes});
}

TEST(InboundLimitsTest, FollowTheMemory) {
  EXPECT_EQ(OfClients(kGiB).message_bytes, 128 << 20);
  EXPECT_EQ(OfClients(kGiB).connections, 1024);
  EXPECT_EQ(OfClients(kGiB).connections_of_peer, 512);
  EXPECT_EQ(OfClients(kGiB * 3 / 4).message_bytes, 96 << 20);
  // Within bounds.
  EXPECT_EQ(OfClients(0).message_bytes, 64 << 20);
  EXPECT_EQ(OfClients(0).connections, 64);
  EXPECT_EQ(OfClients(100 * kGiB).message_bytes, 128 << 20);
}

TEST(InboundLimitsTest, OperatorsComeThrough) {
  const ProcessLimits process = {.descriptors = 1000, .memory_bytes = kGiB};
  const InboundLimits clients = InboundLimitsOf(PortUse::kClients, process);
  const InboundLimits operators = InboundLimitsOf(PortUse::kOperators, process);
  EXPECT_EQ(clients.descriptors, 1000 - kReservedDescriptors);
  EXPECT_GT(operators.descriptors, clients.descriptors);
  EXPECT_LT(operators.descriptors, process.descriptors);
}

TEST(InboundLimitsTest, TheSoftLimitIsRaised) {
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = 128;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  const ProcessLimits limits = ReadProcessLimits();
  rlimit after = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_EQ(after.rlim_cur, before.rlim_max);
  EXPECT_GE(limits.descriptors, 128);
  EXPECT_GT(limits.memory_bytes, 0);
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
}

}  // namespace
}  // namespace tandem
