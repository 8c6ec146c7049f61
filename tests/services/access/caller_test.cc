#include "services/access/caller.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "tests/services/access/generic_call.h"
#include "tests/services/access/key_files.h"
#include "tests/services/common/fake_auth_context.h"

namespace tandem {
namespace {

std::string TenantWith(const FakeNames& names) {
  const FakeAuthContext context(names);
  const absl::StatusOr<std::string> tenant = TenantOf(&context);
  EXPECT_TRUE(tenant.ok()) << tenant.status();
  return tenant.value_or("");
}

TEST(TenantOfTest, IsTheDefaultWithoutACertificate) {
  EXPECT_EQ(*TenantOf(nullptr), kDefaultTenant);
  const FakeAuthContext anonymous;
  EXPECT_EQ(*TenantOf(&anonymous), kDefaultTenant);
}

TEST(TenantOfTest, IsTheMostTellingNameOfTheCertificate) {
  EXPECT_EQ(TenantWith({.uris = {"spiffe://a/b", "spiffe://a/c"},
                        .dns = {"alice.example"},
                        .common_names = {"alice"}}),
            "uri:spiffe://a/b");
  EXPECT_EQ(TenantWith({.dns = {"alice.example", "localhost"},
                        .common_names = {"alice"}}),
            "dns:alice.example");
  EXPECT_EQ(TenantWith({.common_names = {"alice"}}), "cn:alice");
}

TEST(TenantOfTest, KindsOfNamesAndTheDefaultStayApart) {
  EXPECT_NE(TenantWith({.dns = {"a"}}), TenantWith({.common_names = {"a"}}));
  EXPECT_NE(TenantWith({.common_names = {kDefaultTenant}}), kDefaultTenant);
}

// They would all be one tenant.
TEST(TenantOfTest, ACertificateWithoutANameIsRefused) {
  for (const FakeNames& names : {FakeNames(), FakeNames{.common_names = {""}},
                                 FakeNames{.common_names = {"two\nlines"}}}) {
    const FakeAuthContext context(names);
    const absl::Status status = TenantOf(&context).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
    EXPECT_NE(status.message().find("subjectAltName"), absl::string_view::npos);
  }
}

// Workers take 256 bytes.
TEST(TenantOfTest, LongNamesStayApart) {
  const auto tenant = [](size_t bytes) {
    return TenantWith({.dns = {std::string(bytes, 'a')}});
  };
  EXPECT_NE(tenant(5000), tenant(5001));
  EXPECT_LE(tenant(5000).size(), 256u);
  EXPECT_EQ(tenant(kTenantNameBytesMax),
            "dns:" + std::string(kTenantNameBytesMax, 'a'));
  EXPECT_EQ(tenant(kTenantNameBytesMax + 1).substr(0, 11), "sha256:dns:");
  EXPECT_NE(tenant(5000), TenantWith({.common_names = {tenant(5000)}}));
}

TEST(IsLocalPeerTest, KnowsLoopbackAndUnixSockets) {
  for (const char* peer :
       {"ipv4:127.0.0.1:4711", "ipv4:127.8.9.10:1", "ipv6:%5B::1%5D:4711",
        "unix:", "unix:/tmp/a.sock", "unix-abstract:name"}) {
    EXPECT_TRUE(IsLocalPeer(peer)) << peer;
  }
  for (const char* peer :
       {"", "ipv4:10.0.0.1:4711", "ipv4:12.7.0.1:1", "ipv6:%5Bfe80::1%5D:1",
        "ipv6:%5B::12%5D:1", "ipv6:%5B::1:2%5D:1", "dns:127.0.0.1:1"}) {
    EXPECT_FALSE(IsLocalPeer(peer)) << peer;
  }
}

TEST(KeyOfAuthorizationTest, IsWhatFollowsTheScheme) {
  EXPECT_EQ(KeyOfAuthorization("Bearer k"), "k");
  EXPECT_EQ(KeyOfAuthorization("bearer  k "), "k");
  for (const char* none :
       {"", "k", "Bearer", "Bearer ", "Basic k", "Bearerk"}) {
    EXPECT_EQ(KeyOfAuthorization(none), "") << none;
  }
}

TEST(MethodRulesTest, NameMethodsThatAre) {
  const std::vector<std::string> linked =
      LinkedMethods(TANDEM_SOURCE_DIR "/proto");
  std::set<absl::string_view> seen;
  for (const MethodRule& rule : MethodRules()) {
    EXPECT_TRUE(seen.insert(rule.method).second) << rule.method;
    EXPECT_EQ(RuleOf(rule.method), &rule);
    const bool is_ours = absl::StartsWith(rule.method, "/tandem.");
    EXPECT_EQ(is_ours, rule.asked_by == AskedBy::kService) << rule.method;
    if (!is_ours) continue;  // reflection's proto is not packaged
    EXPECT_NE(std::find(linked.begin(), linked.end(), rule.method),
              linked.end())
        << rule.method;
  }
  for (const char* none : {"", "/tandem.v1.WorkerService/Decode",
                           "/tandem.v1.GenerationService/Generat",
                           "/tandem.v1.GenerationService/Generate/"}) {
    EXPECT_EQ(RuleOf(none), nullptr) << none;
  }
}

class CallerGateTest : public ::testing::Test {
 protected:
  void UseKeys() {
    KeyFile content =
        OneTenantFile("alice", HashOfApiKey(metrics_), {Scope::kMetrics});
    content.tenants.push_back(
        OneTenantFile("bob", HashOfApiKey(others_),
                      {Scope::kGenerate, Scope::kScore, Scope::kAdmin})
            .tenants[0]);
    KeyFileTenant late =
        OneTenantFile("late", HashOfApiKey(expired_), {Scope::kMetrics})
            .tenants[0];
    late.keys[0].expires = absl::Now() - absl::Seconds(1);
    content.tenants.push_back(late);
    file_.Replace(content);
    ASSERT_TRUE(gate_.UseKeyFile({.path = file_.path()}).ok());
  }
  std::string Served() const {
    return prometheus::TextSerializer().Serialize(registry_.Collect());
  }

  const std::string metrics_ = DrawApiKey();
  const std::string others_ = DrawApiKey();
  const std::string expired_ = DrawApiKey();
  const TemporaryKeyFile file_;
  prometheus::Registry registry_;
  CallerGate gate_{registry_};
};

TEST_F(CallerGateTest, MetricsAreForAllWhereNoKeyIsOrMayCome) {
  EXPECT_EQ(gate_.keys(), nullptr);
  EXPECT_TRUE(gate_.Reload().ok());
  EXPECT_EQ(gate_.MetricsCheck("127.0.0.1:0"), nullptr);
  UseKeys();
  EXPECT_EQ(gate_.MetricsCheck("0.0.0.0:9090"), nullptr);
  EXPECT_NE(gate_.MetricsCheck("127.0.0.1:0"), nullptr);
}

TEST_F(CallerGateTest, MetricsNeedTheirScope) {
  UseKeys();
  const auto admits = gate_.MetricsCheck("127.0.0.1:0");
  EXPECT_TRUE(admits("Bearer " + metrics_));
  for (const std::string& header :
       {std::string(), std::string("Bearer "), "Bearer " + DrawApiKey(),
        "Bearer " + others_, "Bearer " + expired_, metrics_,
        "Basic " + metrics_}) {
    EXPECT_FALSE(admits(header)) << header;
  }
  EXPECT_THAT(Served(),
              ::testing::HasSubstr(
                  "tandem_denied_calls_total{reason=\"INVALID_KEY\"} 6"));
  EXPECT_THAT(Served(),
              ::testing::HasSubstr(
                  "tandem_denied_calls_total{reason=\"MISSING_SCOPE\"} 1"));
}

TEST_F(CallerGateTest, AKeyThatIsTakenOutIsGoneWithTheReload) {
  UseKeys();
  const auto admits = gate_.MetricsCheck("127.0.0.1:0");
  ASSERT_TRUE(admits("Bearer " + metrics_));
  file_.Replace(KeyFile());
  EXPECT_TRUE(gate_.Reload().ok());
  EXPECT_FALSE(admits("Bearer " + metrics_));
  file_.Replace("{");
  EXPECT_FALSE(gate_.Reload().ok());
  gate_.UpdateMetrics();
  EXPECT_THAT(Served(), ::testing::HasSubstr("tandem_key_file_refused 1"));
}

TEST_F(CallerGateTest, ABadKeyFileIsAnError) {
  file_.Replace("");
  EXPECT_EQ(gate_.UseKeyFile({.path = file_.path()}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(gate_.keys(), nullptr);
}

}  // namespace
}  // namespace tandem
