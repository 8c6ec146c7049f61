// The addresses that a pool should have now: those that are listed, and what
// the listed DNS names resolved to last. Pure: the pool resolves, and
// decides when. Owned by the worker pool; one thread at a time.

#ifndef TANDEM_SERVICES_COORDINATOR_WORKERS_ADDRESS_BOOK_H_
#define TANDEM_SERVICES_COORDINATOR_WORKERS_ADDRESS_BOOK_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "engine/base/status.h"
#include "services/common/channel.h"
#include "services/coordinator/workers/resolver.h"

namespace tandem {

// Addresses of one pool; each costs a thread and a channel.
inline constexpr size_t kWorkersMax = 1024;

class AddressBook {
 public:
  // `items`: addresses, or DNS names as dns:///NAME:PORT. INVALID_ARGUMENT for
  // one of another form (CheckPeerAddress) and for more than kWorkersMax items.
  static absl::StatusOr<AddressBook> Parse(absl::Span<const std::string> items);

  const std::vector<HostPort>& names() const { return names_; }

  // What names()[index] has resolved to. An error or an empty answer keeps the
  // last good one: name servers fail more often than all workers of a pool.
  // Gives what to log, once for each change between good and bad.
  std::optional<std::string> OnResolved(
      size_t index, const absl::StatusOr<std::vector<std::string>>& addresses);

  // Listed ones first, then by name, ascending; distinct; kWorkersMax at most,
  // beyond which the last are left out.
  std::vector<NamedAddress> Addresses() const;

 private:
  struct Resolved {
    std::vector<std::string> addresses;
    bool failing = false;
  };

  std::vector<NamedAddress> listed_;
  std::vector<HostPort> names_;
  std::vector<Resolved> resolved_;  // by name
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_WORKERS_ADDRESS_BOOK_H_
