// Where keys may travel: over TLS, a loopback address or a unix socket, never
// in plain text over a network. Pure functions; any thread.
//
// A proxy that ends TLS in front of a server reaches it by one of the last two,
// on the same host or in the same pod: behind it, too, no key crosses a network
// in plain text. --insecure-listen does not change this.

#ifndef TANDEM_SERVICES_ACCESS_KEY_TRANSPORT_H_
#define TANDEM_SERVICES_ACCESS_KEY_TRANSPORT_H_

#include "absl/strings/string_view.h"
#include "engine/base/status.h"
#include "services/common/credentials.h"

namespace tandem {

// Whether `address`, to listen at or to connect to, is unix:PATH or HOST:PORT
// with a loopback host: others on the network have no part in it.
bool IsLocalAddress(absl::string_view address);

// OK where a server that listens at `address`, which the flag `flag` gave, may
// take keys. Errors: INVALID_ARGUMENT.
absl::Status CheckKeyTransport(absl::string_view flag,
                               absl::string_view address,
                               const ServerTlsFiles& tls);

}  // namespace tandem

#endif  // TANDEM_SERVICES_ACCESS_KEY_TRANSPORT_H_
