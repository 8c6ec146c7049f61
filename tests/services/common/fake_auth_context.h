// What gRPC knows of a peer, made up by a test.

#ifndef TANDEM_TESTS_SERVICES_COMMON_FAKE_AUTH_CONTEXT_H_
#define TANDEM_TESTS_SERVICES_COMMON_FAKE_AUTH_CONTEXT_H_

#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/auth_context.h>

#include <string>
#include <utility>
#include <vector>

namespace tandem {

// The names of a certificate.
struct FakeNames {
  std::vector<std::string> uris = {};
  std::vector<std::string> dns = {};
  std::vector<std::string> common_names = {};
};

class FakeAuthContext : public grpc::AuthContext {
 public:
  // A peer without a certificate.
  FakeAuthContext() = default;
  // A peer with a certificate of these names.
  explicit FakeAuthContext(FakeNames names)
      : authenticated_(true), names_(std::move(names)) {}

  bool IsPeerAuthenticated() const override { return authenticated_; }
  std::vector<grpc::string_ref> GetPeerIdentity() const override { return {}; }
  std::string GetPeerIdentityPropertyName() const override { return ""; }
  std::vector<grpc::string_ref> FindPropertyValues(
      const std::string& name) const override {
    if (name == GRPC_PEER_URI_PROPERTY_NAME) return Refs(names_.uris);
    if (name == GRPC_PEER_DNS_PROPERTY_NAME) return Refs(names_.dns);
    if (name == GRPC_X509_CN_PROPERTY_NAME) return Refs(names_.common_names);
    return {};
  }
  grpc::AuthPropertyIterator begin() const override { return NoProperties(); }
  grpc::AuthPropertyIterator end() const override { return NoProperties(); }
  void AddProperty(const std::string& /*key*/,
                   const grpc::string_ref& /*value*/) override {}
  bool SetPeerIdentityPropertyName(const std::string& /*name*/) override {
    return false;
  }

 private:
  // Its constructor is protected in gRPC.
  class NoProperties : public grpc::AuthPropertyIterator {};

  static std::vector<grpc::string_ref> Refs(
      const std::vector<std::string>& texts) {
    return {texts.begin(), texts.end()};
  }

  const bool authenticated_ = false;
  const FakeNames names_ = {};
};

}  // namespace tandem

#endif  // TANDEM_TESTS_SERVICES_COMMON_FAKE_AUTH_CONTEXT_H_
