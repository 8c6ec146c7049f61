#include "services/access/key_transport.h"

#include "absl/strings/str_cat.h"

namespace tandem {

bool IsLocalAddress(absl::string_view address) {
  return CheckListenAddress(address, {}, /*allow_insecure=*/false).ok();
}

absl::Status CheckKeyTransport(absl::string_view flag,
                               absl::string_view address,
                               const ServerTlsFiles& tls) {
  if (!tls.cert.empty() || IsLocalAddress(address)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      flag, " ", address,
      ": with --keys, keys would cross the network in plain text; give "
      "--tls-cert and --tls-key, or listen at a loopback address or unix:PATH "
      "for a proxy on this host that ends TLS"));
}

}  // namespace tandem
