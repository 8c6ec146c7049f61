// Telling others where a server listens, when the port was left to the system.

#ifndef TANDEM_SERVICES_COMMON_BOUND_ADDRESS_H_
#define TANDEM_SERVICES_COMMON_BOUND_ADDRESS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"

namespace tandem {

// `listen` (as CheckListenAddress takes it) with the port that was bound.
std::string BoundAddress(absl::string_view listen, int port);

// Writes `address` and a newline to `path` in one step (a file beside it,
// renamed), so that a reader never sees half of it. Errors: INVALID_ARGUMENT.
absl::Status WriteAddressFile(const std::string& path,
                              absl::string_view address);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_BOUND_ADDRESS_H_
