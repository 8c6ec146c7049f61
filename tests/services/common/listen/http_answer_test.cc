#include "services/common/listen/http_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace tandem {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kHost[] = "Host: a\r\n\r\n";

std::string Ask(absl::string_view request) {
  EXPECT_TRUE(IsHttpRequestComplete(request)) << request;
  return AnswerHttpRequest(request, absl::FromUnixSeconds(784111777),
                           {.may_read =
                                [](absl::string_view authorization) {
                                  return authorization != "Bearer wrong";
                                },
                            .metrics = [] { return std::string("up 1\n"); }});
}

TEST(HttpAnswerTest, WhoMayNotReadGetsNothing) {
  const std::string denied = Ask(
      "GET /metrics HTTP/1.1\r\nHost: a\r\nauthorization:  Bearer wrong \r\n"
      "\r\n");
  EXPECT_THAT(denied, StartsWith("HTTP/1.1 401 Unauthorized\r\n"));
  EXPECT_THAT(denied, HasSubstr("\r\nWWW-Authenticate: Bearer\r\n"));
  EXPECT_THAT(denied, Not(HasSubstr("up 1")));
  // Of two it is not known which one counts.
  const std::string twice =
      Ask("GET /metrics HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer wrong\r\n"
          "Authorization: Bearer wrong\r\n\r\n");
  EXPECT_THAT(twice, HasSubstr("up 1"));
}

TEST(HttpAnswerTest, ServesMetrics) {
  // The time is RFC 9110's example.
  constexpr char kHead[] =
      "HTTP/1.1 200 OK\r\n"
      "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
      "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
      "Content-Length: 5\r\n"
      "Connection: close\r\n\r\n";
  for (const char* line :
       {"GET /metrics HTTP/1.1\r\n", "GET /metrics?a=b HTTP/1.1\r\n",
        "GET http://a:1/metrics HTTP/1.1\r\n"}) {
    EXPECT_EQ(Ask(absl::StrCat(line, kHost)), absl::StrCat(kHead, "up 1\n"));
  }
  EXPECT_EQ(Ask(absl::StrCat("HEAD /metrics HTTP/1.1\r\n", kHost)), kHead);
  // By hand, and by an old client.
  EXPECT_EQ(Ask("GET /metrics HTTP/1.0\n\n"), absl::StrCat(kHead, "up 1\n"));
}

TEST(HttpAnswerTest, ServesNothingElse) {
  for (const char* path : {"/", "/metrics/", "/metrics/../etc/passwd",
                           "http://a", "*", "metrics"}) {
    EXPECT_THAT(Ask(absl::StrCat("GET ", path, " HTTP/1.1\r\n", kHost)),
                StartsWith("HTTP/1.1 404 Not Found\r\n"))
        << path;
  }
  const std::string post =
      Ask(absl::StrCat("POST /metrics HTTP/1.1\r\n", kHost));
  EXPECT_THAT(post, StartsWith("HTTP/1.1 405 Method Not Allowed\r\n"));
  EXPECT_THAT(post, HasSubstr("\r\nAllow: GET, HEAD\r\n"));
  EXPECT_THAT(Ask(absl::StrCat("HEAD / HTTP/1.1\r\n", kHost)),
              EndsWith("Connection: close\r\n\r\n"));
}

TEST(HttpAnswerTest, WhatIsMalformedIsRefused) {
  for (const char* request :
       {"\r\n\r\n", "GET\r\n\r\n", "GET /metrics\r\n\r\n",
        "GET  /metrics HTTP/1.0\r\n\r\n", "GET /metrics HTTP/1.1\r\n\r\n",
        "GET /metrics HTTP/3.0\r\nHost: a\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: a\r\n: no name\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost : a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x16\x03\x01\n\n"}) {
    EXPECT_THAT(Ask(request), StartsWith("HTTP/1.1 400 Bad Request\r\n"))
        << request;
  }
}

TEST(HttpAnswerTest, ARequestHasABound) {
  const std::string begin = "GET /metrics HTTP/1.1\r\nHost: a\r\nX: ";
  EXPECT_FALSE(IsHttpRequestComplete(""));
  EXPECT_FALSE(IsHttpRequestComplete(begin));
  const std::string end = "\r\n\r\n";
  const size_t room = kHttpRequestBytesMax - begin.size() - end.size();
  EXPECT_THAT(Ask(absl::StrCat(begin, std::string(room, 'x'), end)),
              StartsWith("HTTP/1.1 200 OK\r\n"));
  for (const std::string& large :
       {absl::StrCat(begin, std::string(room + 1, 'x'), end),
        std::string(kHttpRequestBytesMax + 1, 'x')}) {
    EXPECT_THAT(Ask(large), StartsWith("HTTP/1.1 431 "));
  }
}

}  // namespace
}  // namespace tandem
