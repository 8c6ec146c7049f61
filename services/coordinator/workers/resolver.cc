#include "services/coordinator/workers/resolver.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace tandem {
namespace {

std::optional<std::string> ToText(const addrinfo& entry) {
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  if (getnameinfo(entry.ai_addr, entry.ai_addrlen, host, sizeof(host), port,
                  sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return std::nullopt;
  }
  if (entry.ai_family == AF_INET6) return absl::StrCat("[", host, "]:", port);
  return absl::StrCat(host, ":", port);
}

}  // namespace

absl::StatusOr<std::optional<HostPort>> ParseDnsName(const std::string& item) {
  absl::string_view name = item;
  if (!absl::ConsumePrefix(&name, kDnsPrefix)) return std::nullopt;
  TANDEM_RETURN_IF_ERROR(CheckPeerAddress(item));
  return ParseHostPort(name);
}

absl::StatusOr<std::vector<std::string>> SystemResolver::Resolve(
    const HostPort& name) {
  TANDEM_ASSIGN_OR_RETURN(const SocketAddresses list, LookUpHost(name));
  std::vector<std::string> addresses;
  for (const addrinfo* it = list.get(); it != nullptr; it = it->ai_next) {
    if (std::optional<std::string> text = ToText(*it)) {
      addresses.push_back(*std::move(text));
    }
  }
  return addresses;
}

}  // namespace tandem
