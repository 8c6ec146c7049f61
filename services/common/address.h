// The forms of addresses, in one place: what a flag names is checked when a
// program starts, and an error says which form is right. Pure, except that a
// path is looked up to tell a file from a mistyped host, and for LookUpHost;
// any thread.

#ifndef TANDEM_SERVICES_COMMON_ADDRESS_H_
#define TANDEM_SERVICES_COMMON_ADDRESS_H_

#include <netdb.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "engine/base/status.h"

namespace tandem {

inline constexpr char kUnixPrefix[] = "unix:";
// Distinguishes a DNS name from an address in a list of workers.
inline constexpr char kDnsPrefix[] = "dns:///";

struct HostPort {
  // A name or an IP address, IPv6 without its brackets; a zone may follow:
  // "fe80::1%eth0".
  std::string host;
  int port = 0;  // 0 .. 65535

  friend bool operator==(const HostPort&, const HostPort&) = default;
};

// Parses "HOST:PORT" or "[IPV6]:PORT"; nothing for any other text.
std::optional<HostPort> ParseHostPort(absl::string_view address);

// The path of "unix:PATH" or "unix:///PATH"; nothing for any other text.
std::optional<std::string> ParseUnixPath(absl::string_view address);

struct FreeAddresses {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using SocketAddresses = std::unique_ptr<addrinfo, FreeAddresses>;

// The addresses of `at` for TCP; `flags` are getaddrinfo's (AI_PASSIVE...). May
// block for as long as the system's name servers take, but for AI_NUMERICHOST.
// Errors: UNAVAILABLE, in the system's words.
absl::StatusOr<SocketAddresses> LookUpHost(const HostPort& at, int flags = 0);

// OK where a channel can be made to `address`: HOST:PORT, [IPV6]:PORT (port 1
// .. 65535), unix:PATH or dns:///NAME:PORT. Else INVALID_ARGUMENT: "ADDRESS: is
// ...", which names what was given (a URL, a file, no port) and the right form.
absl::Status CheckPeerAddress(absl::string_view address);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COMMON_ADDRESS_H_
