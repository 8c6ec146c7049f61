// Whose request it is. Pure function; any thread.

#ifndef TANDEM_SERVICES_COORDINATOR_SERVER_TENANT_H_
#define TANDEM_SERVICES_COORDINATOR_SERVER_TENANT_H_

#include <grpcpp/security/auth_context.h>

#include <string>

namespace tandem {

inline constexpr size_t kTenantNameBytesMax = 200;

// Everybody, where clients show no certificate.
inline constexpr char kDefaultTenant[] = "default";

// The common name of the client's certificate under mutual TLS, else
// kDefaultTenant. `context` may be null. A certificate without a common name
// has a tenant that no name is equal to; the SHA-256 stands for a name of more
// than kTenantNameBytesMax bytes.
std::string TenantOf(const grpc::AuthContext* context);

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_SERVER_TENANT_H_
