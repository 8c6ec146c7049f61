#include "tools/tandem/connection.h"

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"
#include "services/common/address.h"
#include "services/common/channel.h"
#include "services/common/connection_probe.h"
#include "services/common/credentials.h"

namespace tandem::cli {
namespace {

// The variable whose proxy gRPC takes: the first of them that is set. Its
// value may hold a password and is not shown.
absl::string_view ProxyVariable() {
  for (const char* name : {"grpc_proxy", "https_proxy", "http_proxy"}) {
    const char* const value = std::getenv(name);
    if (value != nullptr && *value != '\0') return name;
  }
  return "";
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::Channel>> Connect(
    absl::string_view flag, const std::string& address,
    const ConnectionFlags& connection) {
  const absl::Status form = CheckPeerAddress(address);
  if (!form.ok()) {
    return UsageError(absl::StrCat(flag, " ", std::string(form.message())));
  }
  const auto credentials = MakeChannelCredentials(connection.tls);
  if (!credentials.ok()) return UsageError(credentials.status().message());
  return MakeChannel(
      NamedAddress{.address = address}, *credentials,
      connection.http_proxy ? HttpProxy::kFromEnvironment : HttpProxy::kNever);
}

absl::Status ExplainUnreachable(const Unreachable& server,
                                const ConnectionFlags& connection,
                                const absl::Status& error) {
  const std::string before = absl::StrCat("cannot reach ", server.who);
  const std::string words =
      absl::StrCat(" (", std::string(error.message()), ")");
  const absl::string_view proxy =
      connection.http_proxy ? ProxyVariable() : absl::string_view();
  if (!proxy.empty()) {
    return absl::UnavailableError(absl::StrCat(
        before, " through the proxy of ", proxy,
        ": is the proxy there, and does it allow this address?", words));
  }
  const ConnectionFindings found =
      ProbeConnection({.server = {.address = server.address},
                       .files = connection.tls,
                       .flags = kClientTlsFlags});
  if (found.problem.empty()) {
    return absl::UnavailableError(
        absl::StrCat(before, ": ", server.hint, words));
  }
  return absl::UnavailableError(
      absl::StrCat(before, ": ", found.problem,
                   found.connected ? "" : absl::StrCat("; ", server.hint)));
}

}  // namespace tandem::cli
