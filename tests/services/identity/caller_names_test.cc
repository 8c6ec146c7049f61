#include "services/identity/caller_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/services/common/fake_auth_context.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kFlag[] = "--allow-caller";

TEST(NamesOfCallerTest, AreThoseOfTheCertificateInOrder) {
  const FakeAuthContext peer({.uris = {"spiffe://a/b"},
                              .dns = {"x.example", "y.example"},
                              .common_names = {"x"}});
  EXPECT_THAT(NamesOfCaller(&peer),
              ElementsAre(CallerName{CallerNameKind::kUri, "spiffe://a/b"},
                          CallerName{CallerNameKind::kDns, "x.example"},
                          CallerName{CallerNameKind::kDns, "y.example"},
                          CallerName{CallerNameKind::kCommonName, "x"}));
}

TEST(NamesOfCallerTest, NothingElseIsAName) {
  EXPECT_THAT(NamesOfCaller(nullptr), IsEmpty());
  const FakeAuthContext anonymous;
  EXPECT_THAT(NamesOfCaller(&anonymous), IsEmpty());
  const FakeAuthContext peer(
      {.dns = {"", "a\nb", std::string("a\0b", 3), "\x7f"},
       .common_names = {"\t"}});
  EXPECT_THAT(NamesOfCaller(&peer), IsEmpty());
}

bool IsAllowed(const std::vector<std::string>& names,
               const grpc::AuthContext* peer) {
  const absl::Status status = AllowedCallers(kFlag, names).CheckPeer(peer);
  if (status.ok()) return true;
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonCallerNotAllowed);
  EXPECT_THAT(std::string(status.message()), HasSubstr(kFlag));
  return false;
}

TEST(AllowedCallersTest, AnyNameOfTheCertificateCounts) {
  const FakeAuthContext peer({.uris = {"spiffe://a/b"},
                              .dns = {"x.example", "y.example"},
                              .common_names = {"x"}});
  for (const char* name : {"spiffe://a/b", "x.example", "y.example", "x"}) {
    EXPECT_TRUE(IsAllowed({name}, &peer)) << name;
    EXPECT_TRUE(IsAllowed({"other", name}, &peer)) << name;
  }
  for (const char* name :
       {"spiffe://a", "example", "*.example", "X", "x ", "x.example.", "**"}) {
    EXPECT_FALSE(IsAllowed({name}, &peer)) << name;
  }
}

TEST(AllowedCallersTest, OneThatIsNotAllowedIsNamed) {
  const FakeAuthContext peer({.dns = {"x.example"}, .common_names = {"x"}});
  EXPECT_THAT(
      std::string(AllowedCallers(kFlag, {"other"}).CheckPeer(&peer).message()),
      HasSubstr("takes no calls from x.example, x: its "
                "--allow-caller"));
}

TEST(AllowedCallersTest, AnyCallerIsOneWithACertificate) {
  const FakeAuthContext nameless((FakeNames()));
  EXPECT_TRUE(IsAllowed({kAnyCaller}, &nameless));
  EXPECT_FALSE(IsAllowed({"x"}, &nameless));
  const FakeAuthContext anonymous;
  EXPECT_FALSE(IsAllowed({kAnyCaller}, &anonymous));
  EXPECT_FALSE(IsAllowed({"x"}, nullptr));
}

// A server that forgets its list under mutual TLS is closed, not open.
TEST(AllowedCallersTest, WithoutNamesNobodyWithACertificate) {
  const FakeAuthContext anonymous;
  EXPECT_TRUE(AllowedCallers().CheckPeer(&anonymous).ok());
  EXPECT_TRUE(AllowedCallers().CheckPeer(nullptr).ok());
  const FakeAuthContext peer({.common_names = {"x"}});
  EXPECT_EQ(AllowedCallers().CheckPeer(&peer).code(),
            absl::StatusCode::kPermissionDenied);
}

TEST(CheckCallerFlagTest, NamesGoWithMutualTls) {
  EXPECT_TRUE(CheckCallerFlag(kFlag, {}, "").ok());
  EXPECT_TRUE(CheckCallerFlag(kFlag, {"x"}, "ca.pem").ok());
  EXPECT_TRUE(CheckCallerFlag(kFlag, {kAnyCaller}, "ca.pem").ok());
  const absl::Status none = CheckCallerFlag(kFlag, {}, "ca.pem");
  EXPECT_EQ(none.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(none.message()),
              HasSubstr("--tls-client-ca needs --allow-caller NAME"));
  EXPECT_THAT(std::string(none.message()), HasSubstr("'*'"));
  EXPECT_THAT(std::string(CheckCallerFlag(kFlag, {"x"}, "").message()),
              HasSubstr("--allow-caller needs --tls-client-ca"));
}

}  // namespace
}  // namespace tandem
