// What strangers may take of this process by what they send: connections, and
// memory for messages. Derived from what the process has, in this one place.
// Pure, but for ReadProcessLimits; any thread.

#ifndef TANDEM_SERVICES_COMMON_LISTEN_INBOUND_LIMITS_H_
#define TANDEM_SERVICES_COMMON_LISTEN_INBOUND_LIMITS_H_

#include <cstdint>

namespace tandem {

// Descriptors that connections of clients leave free: for connections to
// workers, files, the admin service and metrics.
inline constexpr int kReservedDescriptors = 64;
// Of those, the ones that the admin service and metrics leave free too.
inline constexpr int kLastDescriptors = 32;

// What the process has.
struct ProcessLimits {
  int descriptors = 0;       // RLIMIT_NOFILE
  int64_t memory_bytes = 0;  // a container's limit, or the machine's memory
};

// Raises the soft limit of descriptors to the hard one, for the process.
ProcessLimits ReadProcessLimits();

// Whom a port is for.
enum class PortUse {
  kClients,    // of the service: many, and strangers
  kOperators,  // few; served when clients have taken all that they may take
};

struct InboundLimits {
  // Messages and metadata that are not read to their end, and the state of
  // calls: gRPC counts them.
  int64_t message_bytes = 0;
  // At once, in all and from one address that is not of this machine.
  int64_t connections = 0;
  int64_t connections_of_peer = 0;
  // A connection whose descriptor has this number, or one above, is closed.
  int descriptors = 0;
};

InboundLimits InboundLimitsOf(PortUse use, const ProcessLimits& process);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_LISTEN_INBOUND_LIMITS_H_
