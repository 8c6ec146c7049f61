#include "services/coordinator/server/tenant.h"

#include <grpc/grpc_security_constants.h>

#include <cstdint>
#include <vector>

#include "engine/base/hash.h"

namespace tandem {

std::string TenantOf(const grpc::AuthContext* context) {
  if (context == nullptr || !context->IsPeerAuthenticated()) {
    return kDefaultTenant;
  }
  const std::vector<grpc::string_ref> names =
      context->FindPropertyValues(GRPC_X509_CN_PROPERTY_NAME);
  // The prefix keeps a certificate for "default" apart from kDefaultTenant.
  std::string tenant = "cn:";
  if (names.empty()) return tenant;
  if (names[0].size() <= kTenantNameBytesMax) {
    return tenant.append(names[0].data(), names[0].size());
  }
  return "sha256:" +
         Sha256OfBytes({reinterpret_cast<const uint8_t*>(names[0].data()),
                        names[0].size()});
}

}  // namespace tandem
