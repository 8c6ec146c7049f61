#include "services/access/caller.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/check.h"
#include "engine/base/hash.h"
#include "services/access/key_transport.h"
#include "services/common/channel.h"
#include "services/identity/caller_names.h"

namespace tandem {
namespace {

constexpr MethodRule kRules[] = {
    {"/tandem.v1.GenerationService/Converse", Scope::kGenerate,
     AskedBy::kService},
    {"/tandem.v1.GenerationService/Generate", Scope::kGenerate,
     AskedBy::kService},
    {"/tandem.v1.GenerationService/Score", Scope::kScore, AskedBy::kService},
    {"/tandem.v1.GenerationService/Tokenize", Scope::kGenerate,
     AskedBy::kService},
    {"/tandem.v1.GenerationService/Detokenize", Scope::kGenerate,
     AskedBy::kService},
    {"/tandem.v1.GenerationService/ListModels", Scope::kGenerate,
     AskedBy::kService},
    {"/tandem.v1.GenerationService/GetServerInfo", Scope::kGenerate,
     AskedBy::kService},
    {"/tandem.v1.CoordinatorAdminService/GetStatus", Scope::kAdmin,
     AskedBy::kService},
    {"/tandem.v1.CoordinatorAdminService/ListSessions", Scope::kAdmin,
     AskedBy::kService},
    {"/tandem.v1.CoordinatorAdminService/ShowSession", Scope::kAdmin,
     AskedBy::kService},
    {"/tandem.v1.CoordinatorAdminService/DeleteSession", Scope::kAdmin,
     AskedBy::kService},
    {"/tandem.v1.WorkerAdminService/ListWorkerModels", Scope::kAdmin,
     AskedBy::kService},
    {"/tandem.v1.WorkerAdminService/LoadModel", Scope::kAdmin,
     AskedBy::kService},
    {"/tandem.v1.WorkerAdminService/UnloadModel", Scope::kAdmin,
     AskedBy::kService},
    {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
     Scope::kAdmin, AskedBy::kInterceptor}};

// The call's authorization header: empty where there is none, and where there
// are several, since it is not known which one counts.
absl::string_view AuthorizationOf(const grpc::ServerContextBase& context) {
  const auto& metadata = context.client_metadata();
  const auto [begin, end] = metadata.equal_range(kAuthorizationKey);
  if (begin == end || std::next(begin) != end) return "";
  return {begin->second.data(), begin->second.size()};
}

// Keeps names of different kinds, and a certificate for "default" and
// kDefaultTenant, apart.
const char* PrefixOf(CallerNameKind kind) {
  switch (kind) {
    case CallerNameKind::kUri:
      return "uri:";
    case CallerNameKind::kDns:
      return "dns:";
    case CallerNameKind::kCommonName:
      return "cn:";
  }
  return "";
}

}  // namespace

absl::StatusOr<std::string> TenantOf(const grpc::AuthContext* context) {
  if (context == nullptr || !context->IsPeerAuthenticated()) {
    return std::string(kDefaultTenant);
  }
  const std::vector<CallerName> names = NamesOfCaller(context);
  if (names.empty()) {
    return absl::UnauthenticatedError(
        "the client's certificate has no name: it needs a URI or DNS name "
        "(subjectAltName) or a common name");
  }
  const auto& [kind, name] = names.front();
  if (name.size() <= kTenantNameBytesMax) {
    return absl::StrCat(PrefixOf(kind), name);
  }
  // No name of a certificate makes this one: none has that prefix.
  return absl::StrCat(
      "sha256:", PrefixOf(kind),
      Sha256OfBytes(
          {reinterpret_cast<const uint8_t*>(name.data()), name.size()}));
}

bool IsLocalPeer(absl::string_view peer) {
  // An IPv4 address in IPv6's form is named as IPv4. The brackets are encoded,
  // as the peer is a URI.
  for (const char* local :
       {"unix:", "unix-abstract:", "ipv4:127.", "ipv6:%5B::1%5D:"}) {
    if (absl::StartsWith(peer, local)) return true;
  }
  return false;
}

absl::string_view KeyOfAuthorization(absl::string_view header) {
  if (!absl::StartsWithIgnoreCase(header, kBearerPrefix)) return "";
  header.remove_prefix(absl::string_view(kBearerPrefix).size());
  return absl::StripAsciiWhitespace(header);
}

absl::Span<const MethodRule> MethodRules() { return kRules; }

const MethodRule* RuleOf(absl::string_view method) {
  const auto* const found = std::find_if(
      std::begin(kRules), std::end(kRules),
      [&](const MethodRule& rule) { return rule.method == method; });
  return found == std::end(kRules) ? nullptr : found;
}

absl::Status CallerGate::UseKeyFile(const KeyRingOptions& options) {
  TANDEM_CHECK(keys_ == nullptr);
  TANDEM_ASSIGN_OR_RETURN(keys_, KeyRing::Open(options));
  return absl::OkStatus();
}

absl::Status CallerGate::Reload() {
  return keys_ == nullptr ? absl::OkStatus() : keys_->Reload();
}

void CallerGate::UpdateMetrics() const {
  metrics_.SetKeyFileRefused(keys_ != nullptr && keys_->is_refused());
}

absl::StatusOr<Caller> CallerGate::Admit(const grpc::ServerContextBase& context,
                                         absl::string_view method) const {
  const MethodRule* const rule = RuleOf(method);
  TANDEM_CHECK(rule != nullptr);
  if (keys_ == nullptr) {
    Caller caller;
    TANDEM_ASSIGN_OR_RETURN(caller.tenant,
                            TenantOf(context.auth_context().get()));
    return caller;
  }
  TANDEM_ASSIGN_OR_RETURN(const KeyHolder holder,
                          HolderOf(AuthorizationOf(context), rule->scope));
  return Caller{.tenant = absl::StrCat(kKeyTenantPrefix, holder.tenant)};
}

absl::Status CallerGate::AdmitOperator(const grpc::ServerContextBase& context,
                                       absl::string_view method) const {
  TANDEM_RETURN_IF_ERROR(Admit(context, method).status());
  if (keys_ != nullptr || IsLocalPeer(context.peer())) return absl::OkStatus();
  return absl::PermissionDeniedError(
      "without a key file this call is for the server's own machine alone: "
      "connect there by 127.0.0.1, [::1] or a unix socket, or start the server "
      "with --keys and show a key with the scope \"admin\"");
}

absl::Status CallerGate::AdmitAnyKey(
    const grpc::ServerContextBase& context) const {
  if (keys_ == nullptr) return absl::OkStatus();
  return HolderOf(AuthorizationOf(context), std::nullopt).status();
}

std::function<bool(absl::string_view)> CallerGate::MetricsCheck(
    absl::string_view listen) const {
  if (keys_ == nullptr || !IsLocalAddress(listen)) return nullptr;
  return [this](absl::string_view authorization) {
    return HolderOf(authorization, Scope::kMetrics).ok();
  };
}

absl::StatusOr<KeyHolder> CallerGate::HolderOf(
    absl::string_view authorization, std::optional<Scope> scope) const {
  const absl::string_view key = KeyOfAuthorization(authorization);
  std::optional<KeyHolder> holder;
  if (!key.empty()) holder = keys_->Find(key);
  // One answer for all keys that are not there: missing, wrong and revoked.
  if (!holder.has_value()) {
    return Denied(absl::UnauthenticatedError(
                      "the API key is missing, unknown or revoked: send a "
                      "valid one as \"authorization: Bearer KEY\""),
                  kReasonInvalidKey);
  }
  if (absl::Now() >= holder->expires) {
    return Denied(absl::UnauthenticatedError(absl::StrCat(
                      "the API key has expired at ",
                      FormatKeyTime(holder->expires), ": ask for a new one")),
                  kReasonInvalidKey);
  }
  if (scope.has_value() && holder->scopes.count(*scope) == 0) {
    return Denied(absl::PermissionDeniedError(absl::StrCat(
                      "the API key lacks the scope \"", ScopeName(*scope),
                      "\", which this call needs")),
                  kReasonMissingScope);
  }
  return *std::move(holder);
}

absl::Status CallerGate::Denied(const absl::Status& status,
                                const char* reason) const {
  metrics_.OnDenied(reason);
  return MakeError(status.code(), {.reason = reason},
                   std::string(status.message()));
}

}  // namespace tandem
