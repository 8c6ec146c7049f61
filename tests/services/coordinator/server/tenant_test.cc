#include "services/coordinator/server/tenant.h"

#include <grpc/grpc_security_constants.h>
#include <gtest/gtest.h>

#include <map>

namespace tandem {
namespace {

// Its constructor is protected in gRPC.
class NoProperties : public grpc::AuthPropertyIterator {};

// What gRPC knows of a peer.
class FakeAuthContext : public grpc::AuthContext {
 public:
  FakeAuthContext(bool authenticated, std::string name)
      : authenticated_(authenticated), name_(std::move(name)) {}

  bool IsPeerAuthenticated() const override { return authenticated_; }
  std::vector<grpc::string_ref> GetPeerIdentity() const override { return {}; }
  std::string GetPeerIdentityPropertyName() const override { return ""; }
  std::vector<grpc::string_ref> FindPropertyValues(
      const std::string& name) const override {
    if (name != GRPC_X509_CN_PROPERTY_NAME || name_.empty()) return {};
    return {grpc::string_ref(name_)};
  }
  grpc::AuthPropertyIterator begin() const override { return NoProperties(); }
  grpc::AuthPropertyIterator end() const override { return NoProperties(); }
  void AddProperty(const std::string& /*key*/,
                   const grpc::string_ref& /*value*/) override {}
  bool SetPeerIdentityPropertyName(const std::string& /*name*/) override {
    return false;
  }

 private:
  const bool authenticated_;
  const std::string name_;
};

TEST(TenantOfTest, IsTheCertificatesNameOrTheDefault) {
  EXPECT_EQ(TenantOf(nullptr), kDefaultTenant);
  const FakeAuthContext anonymous(false, "");
  EXPECT_EQ(TenantOf(&anonymous), kDefaultTenant);
  const FakeAuthContext alice(true, "alice");
  const FakeAuthContext bob(true, "bob");
  EXPECT_NE(TenantOf(&alice), TenantOf(&bob));
}

TEST(TenantOfTest, NoCertificateCanTakeTheDefaultTenant) {
  const FakeAuthContext named(true, kDefaultTenant);
  EXPECT_NE(TenantOf(&named), kDefaultTenant);
  const FakeAuthContext nameless(true, "");
  EXPECT_NE(TenantOf(&nameless), kDefaultTenant);
}

// Workers take 256 bytes.
TEST(TenantOfTest, LongNamesStayApart) {
  const FakeAuthContext first(true, std::string(5000, 'a'));
  const FakeAuthContext second(true, std::string(5001, 'a'));
  EXPECT_NE(TenantOf(&first), TenantOf(&second));
  EXPECT_LE(TenantOf(&first).size(), 256u);
  const FakeAuthContext longest(true, std::string(kTenantNameBytesMax, 'a'));
  EXPECT_LE(TenantOf(&longest).size(), 256u);
  EXPECT_EQ(TenantOf(&longest).substr(0, 4), "cn:a");
}

}  // namespace
}  // namespace tandem
