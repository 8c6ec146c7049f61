// Why a connection to a server can not be made, as a sentence for people. gRPC
// has failed before; one more connection is made here to find the reason: a
// name that does not resolve, no server that listens, TLS on one side only, a
// certificate that does not fit. Blocks for at most the timeout, and for the
// system's name servers where names are looked up; any thread.

#ifndef TANDEM_SERVICES_COMMON_CONNECTION_PROBE_H_
#define TANDEM_SERVICES_COMMON_CONNECTION_PROBE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "services/common/channel.h"
#include "services/common/credentials.h"

namespace tandem {

// Connecting takes 1.5 s over TLS on a link of 300 ms.
inline constexpr absl::Duration kProbeTimeout = absl::Seconds(3);

// The flags that gave ChannelTlsFiles, for messages.
struct TlsFlagNames {
  absl::string_view ca;
  absl::string_view cert;
  absl::string_view key;
};
inline constexpr TlsFlagNames kClientTlsFlags = {
    .ca = "--tls-ca", .cert = "--tls-cert", .key = "--tls-key"};
inline constexpr TlsFlagNames kWorkerTlsFlags = {
    .ca = "--worker-ca", .cert = "--worker-cert", .key = "--worker-key"};

// Whether a name of an address is looked up. kNever: nothing is found out of an
// address with a name.
enum class NameLookup { kAllowed, kNever };

struct ConnectionProbeOptions {
  NamedAddress server;
  ChannelTlsFiles files = {};
  TlsFlagNames flags = kClientTlsFlags;
  absl::Duration timeout = kProbeTimeout;
  NameLookup names = NameLookup::kAllowed;
};

struct ConnectionFindings {
  bool connected = false;  // somebody listens there
  // "nobody listens there", without a final stop. Empty where nothing is wrong
  // with the connection: the reason is another one.
  std::string problem;
};

ConnectionFindings ProbeConnection(const ConnectionProbeOptions& options);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_CONNECTION_PROBE_H_
