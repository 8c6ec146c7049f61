// Who makes a call, and whether it may go on: the one place where a call's
// tenant is stated. Any thread.
//
// With a key file every call is denied unless a rule allows it: a method of the
// table below needs a key with its scope, health is open to all under the names
// of probes, and what is in no table is denied whatever the key. Without a key
// file all calls may go on that the transport lets in.

#ifndef TANDEM_SERVICES_ACCESS_CALLER_H_
#define TANDEM_SERVICES_ACCESS_CALLER_H_

#include <grpcpp/security/auth_context.h>
#include <grpcpp/server_context.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "engine/base/status.h"
#include "services/access/access_metrics.h"
#include "services/access/key_file.h"
#include "services/access/key_ring.h"

namespace tandem {

inline constexpr size_t kTenantNameBytesMax = 200;

// Everybody, where clients show neither key nor certificate.
inline constexpr char kDefaultTenant[] = "default";
// Before the key file's name of a tenant.
inline constexpr char kKeyTenantPrefix[] = "key:";

struct Caller {
  std::string tenant;
};

// The first name of the client's certificate under mutual TLS, of the first
// kind that it has (NamesOfCaller): "uri:NAME", "dns:NAME" or "cn:NAME"; the
// SHA-256 stands for a NAME of more than kTenantNameBytesMax bytes. Without a
// certificate kDefaultTenant. `context` may be null. Errors: UNAUTHENTICATED
// for a certificate without a name, which all such would share.
absl::StatusOr<std::string> TenantOf(const grpc::AuthContext* context);

// Whether a call's peer, as gRPC names it ("ipv4:127.0.0.1:4711", "unix:"), is
// on this machine: it came over loopback or a unix socket.
bool IsLocalPeer(absl::string_view peer);

// The key of an authorization header "Bearer KEY"; empty where it has another
// form. The scheme's letters may be of either case (RFC 9110, section 11.1).
absl::string_view KeyOfAuthorization(absl::string_view header);

// Who asks for what a method needs.
enum class AskedBy {
  kService,      // the service that has the method, by CallerGate::Admit
  kInterceptor,  // CallInterceptor, for services that are gRPC's own
};

struct MethodRule {
  absl::string_view method;  // "/package.Service/Method"
  Scope scope;
  AskedBy asked_by;
};
absl::Span<const MethodRule> MethodRules();
// Null: no call of it is allowed where there is a key file.
const MethodRule* RuleOf(absl::string_view method);

// Owned by the server, which stops before it.
class CallerGate {
 public:
  // Without a key file. `registry` outlives the gate.
  explicit CallerGate(prometheus::Registry& registry) : metrics_(registry) {}

  // From here on there is one. Once, before the first call. Errors: as
  // KeyRing::Open.
  absl::Status UseKeyFile(const KeyRingOptions& options);
  // As KeyRing::Reload; OK without a key file.
  absl::Status Reload();
  // Brings gauges up to date, before they are read.
  void UpdateMetrics() const;
  // Null without a key file.
  const KeyRing* keys() const { return keys_.get(); }

  // Who makes the call of `method`, which is in the table. Errors: as TenantOf;
  // with a key file UNAUTHENTICATED with INVALID_KEY where no key is shown or
  // it is unknown, revoked or expired; PERMISSION_DENIED with MISSING_SCOPE.
  absl::StatusOr<Caller> Admit(const grpc::ServerContextBase& context,
                               absl::string_view method) const;
  // As Admit, of methods for operators: without a key file PERMISSION_DENIED
  // where the caller is on another machine.
  absl::Status AdmitOperator(const grpc::ServerContextBase& context,
                             absl::string_view method) const;
  // OK where the call shows a key that is valid, whatever its scopes; or
  // without a key file.
  absl::Status AdmitAnyKey(const grpc::ServerContextBase& context) const;
  // Whether an HTTP request with an authorization header may read the metrics
  // that are served at `listen`. Empty where all may: without a key file, and
  // at an address that others can reach (--insecure-metrics-listen), which keys
  // would reach in plain text. The gate outlives the function.
  std::function<bool(absl::string_view authorization)> MetricsCheck(
      absl::string_view listen) const;

 private:
  // The holder of a header's key, with `scope` where one is needed.
  absl::StatusOr<KeyHolder> HolderOf(absl::string_view authorization,
                                     std::optional<Scope> scope) const;
  absl::Status Denied(const absl::Status& status, const char* reason) const;

  const AccessMetrics metrics_;
  std::unique_ptr<KeyRing> keys_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_ACCESS_CALLER_H_
