// Whether a server can listen at an address, found out before gRPC tries: its
// own refusal is one long line of its log, and for a unix socket it takes the
// place of a server that runs.

#ifndef TANDEM_SERVICES_COMMON_LISTEN_CHECK_H_
#define TANDEM_SERVICES_COMMON_LISTEN_CHECK_H_

#include "absl/strings/string_view.h"
#include "engine/base/status.h"

namespace tandem {

// `address` has passed CheckListenAddress; `flag` is the flag that gave it, for
// messages. Binds the address for a moment, any address of a name; port 0 is
// always OK. A socket file that nobody listens at any more is removed. Two
// servers that start in the same moment may both pass; the second one's bind
// fails then for a port. Errors: INVALID_ARGUMENT, "FLAG ADDRESS: ...": another
// server listens there, or the system's reason.
absl::Status CheckCanListen(absl::string_view flag, absl::string_view address);

// The error of a bind that failed after the check had passed: what the check
// says now, or that the reason is gRPC's.
absl::Status CannotListen(absl::string_view flag, absl::string_view address);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_LISTEN_CHECK_H_
