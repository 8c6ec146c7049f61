#include "tools/tandem/base/connection.h"

#include <cstdlib>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/base/status.h"
#include "services/common/address.h"
#include "services/common/channel.h"
#include "services/common/credentials.h"
#include "services/identity/certificate_store.h"
#include "tools/tandem/base/key_input.h"

namespace tandem::cli {
namespace {

// Where gRPC takes no proxy: unix sockets, and hosts that end as an item of the
// list in no_grpc_proxy or, where that is not set, no_proxy.
bool IsWithoutProxy(absl::string_view address) {
  absl::ConsumePrefix(&address, kDnsPrefix);
  const std::optional<HostPort> at = ParseHostPort(address);
  if (!at.has_value()) return true;
  const char* list = std::getenv("no_grpc_proxy");
  if (list == nullptr) list = std::getenv("no_proxy");
  if (list == nullptr) return false;
  for (const absl::string_view item :
       absl::StrSplit(list, ',', absl::SkipEmpty())) {
    if (absl::EndsWithIgnoreCase(at->host, item)) return true;
  }
  return false;
}

// The variable whose proxy gRPC takes: the first of them that is set. Its
// value may hold a password and is not shown.
// Empty where it takes none.
absl::string_view ProxyTo(absl::string_view address) {
  if (IsWithoutProxy(address)) return "";
  for (const char* name : {"grpc_proxy", "https_proxy", "http_proxy"}) {
    const char* const value = std::getenv(name);
    if (value != nullptr && *value != '\0') return name;
  }
  return "";
}

}  // namespace

absl::StatusOr<client::ClientOptions> ServiceOptions(
    absl::string_view flag, const std::string& address,
    const ConnectionFlags& connection) {
  const absl::Status form = CheckPeerAddress(address);
  if (!form.ok()) {
    return UsageError(absl::StrCat(flag, " ", std::string(form.message())));
  }
  client::ClientOptions options = {.address = address,
                                   .tls = connection.tls,
                                   .http_proxy = connection.http_proxy};
  if (!connection.key_file.empty()) {
    TANDEM_RETURN_IF_ERROR(CheckKeyMayGoTo(flag, address, connection));
    TANDEM_ASSIGN_OR_RETURN(options.api_key, ReadKey(connection));
  }
  return options;
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> Connect(
    absl::string_view flag, const std::string& address,
    const ConnectionFlags& connection) {
  TANDEM_ASSIGN_OR_RETURN(const client::ClientOptions options,
                          ServiceOptions(flag, address, connection));
  // Lives as long as the process, as channels may.
  static auto* const certificates = new CertificateStore();
  const auto credentials = certificates->ForChannel(options.tls);
  if (!credentials.ok()) return UsageError(credentials.status().message());
  return MakeChannel(NamedAddress{.address = address}, *credentials,
                     {.proxy = options.http_proxy ? HttpProxy::kFromEnvironment
                                                  : HttpProxy::kNever,
                      .bearer_key = options.api_key});
}

absl::Status ExplainUnreachable(const Unreachable& server,
                                const ConnectionFlags& connection,
                                const absl::Status& error) {
  const std::string before = absl::StrCat("cannot reach ", server.who);
  const std::string words =
      absl::StrCat(" (", std::string(error.message()), ")");
  const absl::string_view proxy =
      connection.http_proxy ? ProxyTo(server.address) : absl::string_view();
  if (!proxy.empty()) {
    return absl::UnavailableError(absl::StrCat(
        before, " through the proxy of ", proxy,
        ": is the proxy there, and does it allow this address?", words));
  }
  const ConnectionFindings found =
      ProbeConnection({.server = {.address = server.address},
                       .files = connection.tls,
                       .flags = kClientTlsFlags,
                       .timeout = server.probe_timeout});
  if (found.problem.empty()) {
    return absl::UnavailableError(
        absl::StrCat(before, ": ", server.hint, words));
  }
  return absl::UnavailableError(
      absl::StrCat(before, ": ", found.problem,
                   found.connected ? "" : absl::StrCat("; ", server.hint)));
}

}  // namespace tandem::cli
