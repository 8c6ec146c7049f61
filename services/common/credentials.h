// Who may listen and connect: TLS credentials from PEM files, and the rule
// that a port which strangers can reach has TLS. Read once, at start; any
// thread.
//
// Errors are INVALID_ARGUMENT with one line that names the file and the
// remedy.

#ifndef TANDEM_SERVICES_COMMON_CREDENTIALS_H_
#define TANDEM_SERVICES_COMMON_CREDENTIALS_H_

#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>

#include <memory>
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

// TLS 1.2 or later, or plaintext where `files` is empty. The files are checked
// here (readable, PEM, key fits certificate), so that a server does not start
// with what would refuse every handshake.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MakeServerCredentials(
    const ServerTlsFiles& files);
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>>
MakeChannelCredentials(const ChannelTlsFiles& files);

// OK where `address` is "unix:PATH", or "host:port" (IPv6 in brackets, port 0
// .. 65535, 0 = any free one) with a loopback host, or with any host under TLS
// or `allow_insecure`.
absl::Status CheckListenAddress(absl::string_view address,
                                const ServerTlsFiles& files,
                                bool allow_insecure);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_CREDENTIALS_H_
