#include "services/common/connection_probe.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/descriptor.h"
#include "engine/base/monotonic_clock.h"
#include "services/common/address.h"
#include "services/common/tls_probe.h"

namespace tandem {
namespace {

// gRPC's name for the server at a unix socket.
constexpr char kUnixServerName[] = "localhost";
constexpr char kNoAnswer[] =
    "the server takes connections and does not answer: is it hung, or no "
    "server of this kind?";

// A connected socket, or why there is none.
struct Connected {
  Descriptor socket;
  std::string problem;
};

std::string ProblemOf(int error) {
  switch (error) {
    case ECONNREFUSED:
      return "nobody listens there";
    case ENOENT:
      return "there is no such socket";
    case ETIMEDOUT:
      return "it does not answer: is the address right, and does no firewall "
             "stand between?";
    default:
      return strerror(error);
  }
}

// 0 or the error.
int WaitUntilConnected(int socket, absl::Time deadline) {
  while (true) {
    const int64_t left_ms = absl::ToInt64Milliseconds(
        absl::Ceil(deadline - MonotonicNow(), absl::Milliseconds(1)));
    pollfd waiting = {.fd = socket, .events = POLLOUT, .revents = 0};
    const int ready =
        left_ms <= 0 ? 0 : poll(&waiting, 1, static_cast<int>(left_ms));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return ETIMEDOUT;
    int error = 0;
    socklen_t size = sizeof(error);
    (void)getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size);
    return error;
  }
}

Connected ConnectTo(const sockaddr* address, socklen_t size,
                    absl::Time deadline) {
  Descriptor socket(::socket(address->sa_family,
                             SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.number() < 0) {
    return {.socket = Descriptor(), .problem = ProblemOf(errno)};
  }
  int error = connect(socket.number(), address, size) == 0 ? 0 : errno;
  if (error == EINPROGRESS || error == EAGAIN) {
    error = WaitUntilConnected(socket.number(), deadline);
  }
  if (error != 0) return {.socket = Descriptor(), .problem = ProblemOf(error)};
  return {.socket = std::move(socket), .problem = ""};
}

Connected ConnectToPath(const std::string& path, absl::Time deadline) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(),
              std::min(path.size(), sizeof(address.sun_path) - 1));
  return ConnectTo(reinterpret_cast<const sockaddr*>(&address), sizeof(address),
                   deadline);
}

Connected ConnectToPort(const HostPort& at, absl::Time deadline) {
  const absl::StatusOr<SocketAddresses> list = LookUpHost(at);
  if (!list.ok()) {
    return {.socket = Descriptor(),
            .problem = absl::StrCat("the name ", at.host, " does not resolve: ",
                                    std::string(list.status().message()))};
  }
  std::string problem;
  for (const addrinfo* it = list->get(); it != nullptr; it = it->ai_next) {
    Connected connected = ConnectTo(it->ai_addr, it->ai_addrlen, deadline);
    if (connected.problem.empty()) return connected;
    problem = connected.problem;
  }
  return {.socket = Descriptor(), .problem = problem};
}

// Findings of a handshake that this side would not make by itself.
std::string ExplainPlaintext(const TlsFindings& found,
                             const TlsFlagNames& flags) {
  if (found.outcome == TlsOutcome::kNoAnswer) return kNoAnswer;
  const bool is_tls = found.outcome == TlsOutcome::kGood ||
                      found.outcome == TlsOutcome::kRefused;
  if (!is_tls) return "";
  return absl::StrCat(
      "the server speaks TLS and this side does not: give ", flags.ca,
      " with the authority that signed its certificate",
      found.asked_for_certificate
          ? absl::StrCat(", and ", flags.cert, " and ", flags.key,
                         ", since it asks for a certificate")
          : "");
}

std::string ExplainRefusal(const TlsFindings& found,
                           const ConnectionProbeOptions& probe) {
  const std::string words =
      found.detail.empty() ? "" : absl::StrCat(" (", found.detail, ")");
  if (!found.asked_for_certificate) {
    return absl::StrCat("the server ended the TLS handshake", words);
  }
  if (probe.files.cert.empty()) {
    return absl::StrCat("the server asks for a client's certificate", words,
                        ": give ", probe.flags.cert, " and ", probe.flags.key);
  }
  return absl::StrCat(
      "the server does not take the certificate ", probe.files.cert, words,
      ": ", probe.flags.cert,
      " must be valid now and signed by an authority of the server's "
      "--tls-client-ca");
}

std::string ExplainTls(const TlsFindings& found,
                       const ConnectionProbeOptions& probe,
                       const std::string& server_name) {
  switch (found.outcome) {
    case TlsOutcome::kGood:
      return "";
    case TlsOutcome::kNoTls:
      return absl::StrCat("the server speaks no TLS: leave out ",
                          probe.flags.ca,
                          ", or start the server with --tls-cert and "
                          "--tls-key");
    case TlsOutcome::kUntrusted:
      return absl::StrCat(
          "the server's certificate is signed by no authority "
          "in ",
          probe.files.ca, " (", found.detail, "): ", probe.flags.ca,
          " must name the one that signed it");
    case TlsOutcome::kWrongName:
      return absl::StrCat(
          "the server's certificate is for ",
          found.names.empty() ? "no name" : found.names, " and not for ",
          server_name,
          ": connect by a name that it has, or have it made for this one");
    case TlsOutcome::kExpired:
    case TlsOutcome::kNotYetValid:
    case TlsOutcome::kOtherCertificateError:
      return absl::StrCat(
          "the server's certificate is not valid: ", found.detail,
          "; renew it, and check the clocks of both machines");
    case TlsOutcome::kRefused:
      return ExplainRefusal(found, probe);
    case TlsOutcome::kNoAnswer:
      return kNoAnswer;
    case TlsOutcome::kUnfinished:
      return "";
  }
  return "";
}

}  // namespace

ConnectionFindings ProbeConnection(const ConnectionProbeOptions& probe) {
  const absl::Time deadline = MonotonicNow() + probe.timeout;
  absl::string_view address = probe.server.address;
  absl::ConsumePrefix(&address, kDnsPrefix);
  Connected connected;
  std::string server_name = probe.server.server_name;
  if (const std::optional<std::string> path = ParseUnixPath(address)) {
    connected = ConnectToPath(*path, deadline);
    if (server_name.empty()) server_name = kUnixServerName;
  } else if (const std::optional<HostPort> at = ParseHostPort(address)) {
    if (probe.names == NameLookup::kNever &&
        !LookUpHost(*at, AI_NUMERICHOST).ok()) {
      return {};
    }
    connected = ConnectToPort(*at, deadline);
    if (server_name.empty()) server_name = at->host;
  } else {
    return {};
  }
  if (!connected.problem.empty()) {
    return {.connected = false, .problem = connected.problem};
  }
  const TlsFindings found = ProbeTls(
      connected.socket.number(),
      {.files = probe.files, .server_name = server_name, .deadline = deadline});
  return {.connected = true,
          .problem = probe.files.ca.empty()
                         ? ExplainPlaintext(found, probe.flags)
                         : ExplainTls(found, probe, server_name)};
}

}  // namespace tandem
