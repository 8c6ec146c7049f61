// Why a connection to a server can not be made, as a sentence for people. gRPC
// has failed before; one more connection is made here to find the reason: a
// name that does not resolve, nobody who listens, TLS on one side only, a
// certificate that does not fit. Blocks for at most the timeout (and the
// system's name servers); any thread.

#ifndef TANDEM_SERVICES_COMMON_CONNECTION_PROBE_H_
#define TANDEM_SERVICES_COMMON_CONNECTION_PROBE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "services/common/channel.h"
#include "services/common/credentials.h"

namespace tandem {

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

struct ConnectionProbeOptions {
  NamedAddress server;
  ChannelTlsFiles files = {};
  TlsFlagNames flags = kClientTlsFlags;
  absl::Duration timeout = absl::Seconds(3);
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
