// One TLS handshake over a socket, for its findings alone: gRPC says that a
// connection failed, this says why. Blocks; any thread.

#ifndef TANDEM_SERVICES_COMMON_TLS_PROBE_H_
#define TANDEM_SERVICES_COMMON_TLS_PROBE_H_

#include <string>

#include "absl/time/time.h"
#include "services/common/credentials.h"

namespace tandem {

enum class TlsOutcome {
  kGood,         // the handshake is over and the server goes on
  kNoTls,        // the server answered, in another protocol
  kUntrusted,    // its certificate is signed by none of the authorities
  kWrongName,    // its certificate is for other names
  kExpired,      // its certificate is over
  kNotYetValid,  // its certificate is for later
  kOtherCertificateError,
  kRefused,     // it ended the handshake
  kNoAnswer,    // nothing came until the deadline
  kUnfinished,  // something came, but not the end of the handshake
};

struct TlsFindings {
  TlsOutcome outcome = TlsOutcome::kUnfinished;
  // The server asked for a client's certificate.
  bool asked_for_certificate = false;
  // The names and IP addresses of the server's certificate, with ", " between.
  std::string names;
  // OpenSSL's words for what went wrong; may be empty.
  std::string detail;
};

struct TlsProbeOptions {
  // Checked before (CertificateStore). Without a ca the server's
  // certificate is not checked.
  ChannelTlsFiles files;
  std::string server_name;  // a name or an IP address
  absl::Time deadline;      // of MonotonicNow
};

// Over the connected, non-blocking `socket`, which stays the caller's.
TlsFindings ProbeTls(int socket, const TlsProbeOptions& options);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_TLS_PROBE_H_
