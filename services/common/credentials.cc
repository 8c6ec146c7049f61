#include "services/common/credentials.h"

#include <arpa/inet.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "services/common/address.h"

namespace tandem {
namespace {

bool IsLoopback(const std::string& host) {
  if (host == "localhost") return true;
  in_addr v4;
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) {
    return (ntohl(v4.s_addr) >> 24) == 127;
  }
  in6_addr v6;
  if (inet_pton(AF_INET6, host.c_str(), &v6) == 1) {
    return IN6_IS_ADDR_LOOPBACK(&v6);
  }
  return false;
}

}  // namespace

absl::Status CheckTlsFlags(const ServerTlsFiles& files) {
  if (files.cert.empty() != files.key.empty()) {
    return absl::InvalidArgumentError(
        "--tls-cert and --tls-key must be given together");
  }
  if (files.cert.empty() && !files.client_ca.empty()) {
    return absl::InvalidArgumentError(
        "--tls-client-ca needs --tls-cert and --tls-key");
  }
  return absl::OkStatus();
}

absl::Status CheckTlsFlags(const ChannelTlsFiles& files) {
  if (files.cert.empty() != files.key.empty()) {
    return absl::InvalidArgumentError(
        "a client certificate and its key must be given together");
  }
  if (files.ca.empty() && !files.cert.empty()) {
    return absl::InvalidArgumentError(
        "a client certificate needs the CA of the server too");
  }
  return absl::OkStatus();
}

absl::Status CheckListenAddress(absl::string_view address,
                                const ServerTlsFiles& files,
                                bool allow_insecure) {
  const std::optional<std::string> path = ParseUnixPath(address);
  const std::optional<HostPort> at = ParseHostPort(address);
  if (path.has_value() ? path->empty() : !at.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--listen ", address,
        ": is not host:port, [ipv6]:port or unix:PATH; e.g. 127.0.0.1:0"));
  }
  if (path.has_value() || !files.cert.empty() || allow_insecure ||
      IsLoopback(at->host)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--listen ", address,
      ": others can reach this address; give --tls-cert and --tls-key, or "
      "--insecure-listen where the network is trusted"));
}

}  // namespace tandem
