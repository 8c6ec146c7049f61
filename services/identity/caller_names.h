// Who calls, by the names in the caller's certificate, and whom a server lets
// call. Pure functions and values; any thread.

#ifndef TANDEM_SERVICES_IDENTITY_CALLER_NAMES_H_
#define TANDEM_SERVICES_IDENTITY_CALLER_NAMES_H_

#include <grpcpp/security/auth_context.h>
#include <grpcpp/server_context.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"

namespace tandem {

// Kinds of names, the most telling first. URI and DNS names are of the
// certificate's subjectAltName (RFC 5280, 4.2.1.6).
enum class CallerNameKind { kUri, kDns, kCommonName };

struct CallerName {
  CallerNameKind kind = CallerNameKind::kUri;
  std::string name;  // not empty, without control characters

  friend bool operator==(const CallerName&, const CallerName&) = default;
};

// The names of the caller's certificate, those of a kind together, in the
// order of the kinds and then of the certificate. None without a certificate.
// `peer` may be null.
std::vector<CallerName> NamesOfCaller(const grpc::AuthContext* peer);

// The flag value that stands for every caller with a certificate.
inline constexpr char kAnyCaller[] = "*";

// Whom a server lets call.
class AllowedCallers {
 public:
  // Callers without a certificate alone, which a server has without mutual TLS
  // only: one that was told no names under mutual TLS refuses everybody.
  AllowedCallers() = default;
  // Those whose certificate has one of `names`, letter for letter, or any for
  // kAnyCaller. `flag` gave the names, for messages.
  AllowedCallers(std::string flag, std::vector<std::string> names);

  // Errors: PERMISSION_DENIED with CALLER_NOT_ALLOWED.
  absl::Status Check(const grpc::ServerContextBase& call) const;
  // The same for a call with this peer, which may be null.
  absl::Status CheckPeer(const grpc::AuthContext* peer) const;

 private:
  std::string flag_;
  std::vector<std::string> names_;
};

// OK where `flag` gives names if and only if callers have certificates:
// `client_ca` is --tls-client-ca. Errors: INVALID_ARGUMENT with one line.
absl::Status CheckCallerFlag(absl::string_view flag,
                             const std::vector<std::string>& names,
                             absl::string_view client_ca);

}  // namespace tandem

#endif  // TANDEM_SERVICES_IDENTITY_CALLER_NAMES_H_
