#include "services/common/listen/inbound_limits.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <limits>

#include "engine/base/control_groups.h"

namespace tandem {
namespace {

// The part of the memory that messages may take, and the part that connections
// may take.
constexpr int64_t kMemoryShare = 8;
// 16 of the largest messages at once, whatever the memory; and 32, which is
// enough for any number of clients, since a message that is complete is read at
// once. What gRPC counts takes up to 2.4 times that of memory: 200 streams of
// 4 MiB less a byte took 254 to 312 MiB where it is 128 MiB, and 410 MiB where
// it was 256 MiB.
constexpr int64_t kMessageBytesMin = int64_t{64} << 20;
constexpr int64_t kMessageBytesMax = int64_t{128} << 20;
// An idle connection takes 18 KiB, with TLS 42 KiB (1,000 at a coordinator);
// three times that leaves room for their calls.
constexpr int64_t kConnectionBytes = int64_t{128} << 10;
constexpr int64_t kConnectionsMin = 64;
constexpr int64_t kOperatorConnections = 64;
constexpr int64_t kOperatorMessageBytes = int64_t{16} << 20;

}  // namespace

ProcessLimits ReadProcessLimits() {
  ProcessLimits limits;
  rlimit descriptors = {};
  if (getrlimit(RLIMIT_NOFILE, &descriptors) == 0) {
    rlimit raised = descriptors;
    raised.rlim_cur = raised.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) descriptors = raised;
  }
  limits.descriptors = static_cast<int>(
      std::min<rlim_t>(descriptors.rlim_cur, std::numeric_limits<int>::max()));
  limits.memory_bytes =
      int64_t{sysconf(_SC_PHYS_PAGES)} * int64_t{sysconf(_SC_PAGESIZE)};
  for (const GroupMemory& group : ReadGroupMemory()) {
    limits.memory_bytes = std::min(limits.memory_bytes, group.limit_bytes);
  }
  return limits;
}

InboundLimits InboundLimitsOf(PortUse use, const ProcessLimits& process) {
  if (use == PortUse::kOperators) {
    return {.message_bytes = kOperatorMessageBytes,
            .connections = kOperatorConnections,
            .connections_of_peer = kOperatorConnections,
            .descriptors = process.descriptors - kLastDescriptors};
  }
  const int64_t share = process.memory_bytes / kMemoryShare;
  const int64_t connections =
      std::max(kConnectionsMin, share / kConnectionBytes);
  return {
      .message_bytes = std::clamp(share, kMessageBytesMin, kMessageBytesMax),
      .connections = connections,
      // A proxy in front of the service is one address: half is much, and
      // leaves the other half to everybody else.
      .connections_of_peer = connections / 2,
      .descriptors = process.descriptors - kReservedDescriptors};
}

}  // namespace tandem
