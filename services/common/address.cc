#include "services/common/address.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace tandem {
namespace {

constexpr char kForms[] =
    "give HOST:PORT, [IPV6]:PORT, unix:PATH or dns:///NAME:PORT";
constexpr int kPortMax = 65535;
constexpr size_t kPortDigitsMax = 5;
// A host name (RFC 1035).
constexpr size_t kHostBytesMax = 253;
// The path and its NUL must fit the system's structure.
constexpr size_t kUnixPathBytesMax = sizeof(sockaddr_un::sun_path) - 1;
// The part of an address that an error message shows.
constexpr size_t kShownBytesMax = 200;

bool IsHostName(absl::string_view host) {
  if (host.empty() || host.size() > kHostBytesMax) return false;
  for (const char c : host) {
    const bool is_good = absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                         c == '-' || c == '.' || c == '_';
    if (!is_good) return false;
  }
  return true;
}

// With or without a zone, the interface of a link-local address (RFC 4007).
bool IsIpv6(absl::string_view host) {
  const size_t percent = host.find('%');
  if (percent != absl::string_view::npos &&
      !IsHostName(host.substr(percent + 1))) {
    return false;
  }
  in6_addr ignored;
  const std::string address(host.substr(0, percent));
  return inet_pton(AF_INET6, address.c_str(), &ignored) == 1;
}

bool IsFile(absl::string_view path) {
  struct stat info;
  return !path.empty() && stat(std::string(path).c_str(), &info) == 0;
}

absl::Status Malformed(absl::string_view address, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(
      absl::CHexEscape(address.substr(0, kShownBytesMax)), ": ", what));
}

absl::Status CheckUnixPath(absl::string_view address, const std::string& path) {
  if (path.empty()) return Malformed(address, "names no path: give unix:PATH");
  if (path.size() <= kUnixPathBytesMax) return absl::OkStatus();
  return Malformed(address, absl::StrCat("its path has ", path.size(),
                                         " bytes; a unix socket's has at most ",
                                         kUnixPathBytesMax));
}

absl::Status CheckHostPort(absl::string_view address, absl::string_view text) {
  const std::optional<HostPort> parsed = ParseHostPort(text);
  if (parsed.has_value() && parsed->port > 0) return absl::OkStatus();
  if (parsed.has_value()) {
    return Malformed(address, "port 0 is no port to connect to");
  }
  if (IsFile(text)) {
    return Malformed(address,
                     "is a file and not an address: start its server (a model "
                     "file: tandem-worker --model FILE) and name where that "
                     "listens, HOST:PORT or unix:PATH");
  }
  if (IsIpv6(text)) {
    return Malformed(address,
                     "an IPv6 address needs brackets and a port: "
                     "[IPV6]:PORT");
  }
  if (IsHostName(text)) {
    return Malformed(address,
                     absl::StrCat("has no port: give ", text, ":PORT"));
  }
  return Malformed(address, absl::StrCat("is no address: ", kForms));
}

}  // namespace

std::optional<HostPort> ParseHostPort(absl::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == absl::string_view::npos) return std::nullopt;
  absl::string_view host = address.substr(0, colon);
  const absl::string_view digits = address.substr(colon + 1);
  HostPort result;
  if (digits.empty() || digits.size() > kPortDigitsMax ||
      digits.find_first_not_of("0123456789") != absl::string_view::npos ||
      !absl::SimpleAtoi(digits, &result.port) || result.port > kPortMax) {
    return std::nullopt;
  }
  const bool has_brackets =
      absl::StartsWith(host, "[") && absl::EndsWith(host, "]");
  if (has_brackets) host = host.substr(1, host.size() - 2);
  result.host = std::string(host);
  if (has_brackets ? !IsIpv6(result.host) : !IsHostName(host)) {
    return std::nullopt;
  }
  return result;
}

std::optional<std::string> ParseUnixPath(absl::string_view address) {
  if (!absl::ConsumePrefix(&address, kUnixPrefix)) return std::nullopt;
  // A URL's authority, which must be empty: unix:///PATH.
  if (absl::StartsWith(address, "///")) address.remove_prefix(2);
  return std::string(address);
}

absl::StatusOr<SocketAddresses> LookUpHost(const HostPort& at, int flags) {
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(at.host.c_str(), absl::StrCat(at.port).c_str(),
                                &hints, &found);
  if (error != 0) return absl::UnavailableError(gai_strerror(error));
  return SocketAddresses(found);
}

absl::Status CheckPeerAddress(absl::string_view address) {
  if (address.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the address is empty: ", kForms));
  }
  if (const std::optional<std::string> path = ParseUnixPath(address)) {
    return CheckUnixPath(address, *path);
  }
  absl::string_view text = address;
  if (absl::ConsumePrefix(&text, kDnsPrefix)) {
    const std::optional<HostPort> parsed = ParseHostPort(text);
    if (parsed.has_value() && parsed->port > 0) return absl::OkStatus();
    return Malformed(address,
                     "is not dns:///NAME:PORT with a port of 1 to 65535");
  }
  const size_t scheme = address.find("://");
  if (scheme != absl::string_view::npos) {
    const absl::string_view rest = address.substr(scheme + 3);
    const absl::string_view authority = rest.substr(0, rest.find('/'));
    const bool helps = CheckHostPort(authority, authority).ok();
    return Malformed(
        address,
        absl::StrCat("is a URL; an address has no ",
                     address.substr(0, scheme + 3), ": ",
                     helps ? absl::StrCat("give ", authority) : kForms));
  }
  return CheckHostPort(address, address);
}

}  // namespace tandem
