// The TLS files that flags name, and the rule that a port which strangers can
// reach has TLS. What credentials are made of them: CertificateStore. Pure
// functions; any thread.
//
// Errors are INVALID_ARGUMENT with one line that names the flag and the remedy.

#ifndef TANDEM_SERVICES_COMMON_CREDENTIALS_H_
#define TANDEM_SERVICES_COMMON_CREDENTIALS_H_

#include <string>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"

namespace tandem {

// Paths of PEM files. No cert: plaintext. With client_ca, clients must show a
// certificate that it signed (mutual TLS).
struct ServerTlsFiles {
  std::string cert;       // certificate chain, leaf first
  std::string key;        // its private key
  std::string client_ca;  // roots for clients' certificates
};

// No ca: plaintext. cert and key: shown to servers that ask for one.
struct ChannelTlsFiles {
  std::string ca;    // roots for the server's certificate
  std::string cert;  // certificate chain, leaf first
  std::string key;   // its private key
};

// OK where the files are given that go together; they are not read.
absl::Status CheckTlsFlags(const ServerTlsFiles& files);
absl::Status CheckTlsFlags(const ChannelTlsFiles& files);

// OK where `address` is "unix:PATH", or "host:port" (IPv6 in brackets, port 0
// .. 65535, 0 = any free one) with a loopback host, or with any host under TLS
// or `allow_insecure`.
absl::Status CheckListenAddress(absl::string_view address,
                                const ServerTlsFiles& files,
                                bool allow_insecure);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_CREDENTIALS_H_
