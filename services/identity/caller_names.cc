#include "services/identity/caller_names.h"

#include <grpc/grpc_security_constants.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/error_reason.h"

namespace tandem {
namespace {

// Names of a caller in a message.
constexpr size_t kShownNamesMax = 8;

constexpr std::pair<CallerNameKind, const char*> kProperties[] = {
    {CallerNameKind::kUri, GRPC_PEER_URI_PROPERTY_NAME},
    {CallerNameKind::kDns, GRPC_PEER_DNS_PROPERTY_NAME},
    {CallerNameKind::kCommonName, GRPC_X509_CN_PROPERTY_NAME}};

// A name with a line end could forge a line of a log.
bool IsName(absl::string_view text) {
  return !text.empty() && std::none_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_iscntrl(static_cast<unsigned char>(c));
  });
}

std::string NamesText(const std::vector<CallerName>& names) {
  if (names.empty()) return "a caller without a name";
  const size_t shown = std::min(names.size(), kShownNamesMax);
  return absl::StrJoin(names.begin(),
                       names.begin() + static_cast<std::ptrdiff_t>(shown), ", ",
                       [](std::string* out, const CallerName& name) {
                         absl::StrAppend(out, name.name);
                       });
}

}  // namespace

std::vector<CallerName> NamesOfCaller(const grpc::AuthContext* peer) {
  std::vector<CallerName> names;
  if (peer == nullptr || !peer->IsPeerAuthenticated()) return names;
  for (const auto& [kind, property] : kProperties) {
    for (const grpc::string_ref& value : peer->FindPropertyValues(property)) {
      const absl::string_view text(value.data(), value.size());
      if (!IsName(text)) continue;
      names.push_back({.kind = kind, .name = std::string(text)});
    }
  }
  return names;
}

AllowedCallers::AllowedCallers(std::string flag, std::vector<std::string> names)
    : flag_(std::move(flag)), names_(std::move(names)) {}

absl::Status AllowedCallers::Check(const grpc::ServerContextBase& call) const {
  return CheckPeer(call.auth_context().get());
}

absl::Status AllowedCallers::CheckPeer(const grpc::AuthContext* peer) const {
  const bool has_certificate = peer != nullptr && peer->IsPeerAuthenticated();
  if (!has_certificate && names_.empty()) return absl::OkStatus();
  std::vector<CallerName> callers;
  if (has_certificate) {
    if (std::count(names_.begin(), names_.end(), kAnyCaller) > 0) {
      return absl::OkStatus();
    }
    callers = NamesOfCaller(peer);
    for (const CallerName& caller : callers) {
      if (std::count(names_.begin(), names_.end(), caller.name) > 0) {
        return absl::OkStatus();
      }
    }
  }
  return MakeError(
      absl::StatusCode::kPermissionDenied, {.reason = kReasonCallerNotAllowed},
      absl::StrCat("this server takes no calls from ", NamesText(callers),
                   ": its ", flag_.empty() ? "list of callers" : flag_,
                   " must have a name of the caller's certificate"));
}

absl::Status CheckCallerFlag(absl::string_view flag,
                             const std::vector<std::string>& names,
                             absl::string_view client_ca) {
  if (client_ca.empty() && !names.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag,
                     " needs --tls-client-ca: callers have names in "
                     "their certificates only"));
  }
  if (!client_ca.empty() && names.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--tls-client-ca needs ", flag,
        " NAME (a name in the caller's certificate): without it every client "
        "of these authorities could call; '*' allows that"));
  }
  return absl::OkStatus();
}

}  // namespace tandem
