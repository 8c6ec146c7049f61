// Finds the addresses of a DNS name: the seam between the worker pool and the
// system. A headless Kubernetes service has one address for each ready pod.
// Owned by the server (or a test), outlives the pool.

#ifndef TANDEM_SERVICES_COORDINATOR_WORKERS_RESOLVER_H_
#define TANDEM_SERVICES_COORDINATOR_WORKERS_RESOLVER_H_

#include <optional>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "services/common/address.h"

namespace tandem {

// The name in "dns:///NAME:PORT"; nothing for an item without the prefix.
// INVALID_ARGUMENT for one with it that has no name or no port of 1 .. 65535.
absl::StatusOr<std::optional<HostPort>> ParseDnsName(const std::string& item);

class Resolver {
 public:
  virtual ~Resolver() = default;
  // One "ADDRESS:PORT" for each address, in any order; may block. UNAVAILABLE
  // where the name is unknown or no server answers.
  virtual absl::StatusOr<std::vector<std::string>> Resolve(
      const HostPort& name) = 0;
};

// By getaddrinfo: the system's files and name servers, IPv4 and IPv6. Blocks
// for as long as the system's settings let it (some seconds).
class SystemResolver : public Resolver {
 public:
  absl::StatusOr<std::vector<std::string>> Resolve(
      const HostPort& name) override;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_WORKERS_RESOLVER_H_
