#include "services/gateway/http/origin_rules.h"

#include <gtest/gtest.h>

namespace tandem::gateway {
namespace {

HttpRequest Request(const std::string& host, const std::string& origin = "") {
  HttpRequest request;
  request.method = "POST";
  request.headers = {{"Host", host}};
  if (!origin.empty()) request.headers.push_back({"Origin", origin});
  return request;
}

const OriginRules kRules = {.cors_origins = {"https://chat.example.org"},
                            .hosts = {"api.example.org"}};

TEST(CheckOriginTest, LoopbackNamesAndNamedHostsAreKnown) {
  for (const char* host :
       {"localhost", "localhost:8080", "LOCALHOST:1", "127.0.0.1:8080",
        "[::1]:8080", "[::1]", "api.example.org", "API.example.org:443"}) {
    EXPECT_TRUE(CheckOrigin(Request(host), kRules).ok()) << host;
  }
}

TEST(CheckOriginTest, OtherHostsAreNot) {
  for (const char* host :
       {"evil.example:8080", "192.168.1.2:8080", "", "localhost.evil.example",
        "127.0.0.1.evil.example"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CheckOrigin(Request(host), kRules)))
        << host;
  }
  EXPECT_FALSE(CheckOrigin({}, kRules).ok());
  HttpRequest two = Request("localhost");
  two.headers.push_back({"Host", "localhost"});
  EXPECT_FALSE(CheckOrigin(two, kRules).ok());
}

TEST(CheckOriginTest, PagesOfOtherSitesAreRefused) {
  const std::string host = "localhost:8080";
  EXPECT_TRUE(CheckOrigin(Request(host, "http://localhost:8080"), kRules).ok());
  EXPECT_TRUE(
      CheckOrigin(Request(host, "https://chat.example.org"), kRules).ok());
  for (const char* origin :
       {"https://evil.example", "null", "http://localhost:9999",
        "https://chat.example.org.evil.example"}) {
    EXPECT_TRUE(
        absl::IsPermissionDenied(CheckOrigin(Request(host, origin), kRules)))
        << origin;
  }
}

TEST(CorsHeadersTest, AreForNamedOriginsAlone) {
  EXPECT_TRUE(CorsHeaders(Request("a"), kRules).empty());
  EXPECT_TRUE(
      CorsHeaders(Request("a", "https://evil.example"), kRules).empty());
  const std::vector<HttpHeader> headers =
      CorsHeaders(Request("a", "https://chat.example.org"), kRules);
  ASSERT_FALSE(headers.empty());
  EXPECT_EQ(headers[0].name, "Access-Control-Allow-Origin");
  EXPECT_EQ(headers[0].value, "https://chat.example.org");
}

TEST(PreflightTest, IsAnswered) {
  HttpRequest request = Request("a", "https://chat.example.org");
  request.method = "OPTIONS";
  EXPECT_FALSE(IsPreflight(request));
  request.headers.push_back({"Access-Control-Request-Method", "POST"});
  EXPECT_TRUE(IsPreflight(request));
  EXPECT_EQ(AnswerPreflight().status, 204);
}

TEST(CheckCorsOriginTest, TakesOriginsAlone) {
  EXPECT_TRUE(CheckCorsOrigin("https://chat.example.org").ok());
  EXPECT_TRUE(CheckCorsOrigin("http://localhost:3000").ok());
  for (const char* origin : {"*", "chat.example.org", "https://", "https://*",
                             "https://a.example/", "null"}) {
    EXPECT_FALSE(CheckCorsOrigin(origin).ok()) << origin;
  }
}

}  // namespace
}  // namespace tandem::gateway
