#include "services/gateway/http/http_message.h"

#include <gtest/gtest.h>

namespace tandem::gateway {
namespace {

TEST(HttpRequestTest, HeadersAreFoundInWhateverCase) {
  HttpRequest request;
  request.headers = {{"Host", "a"}, {"X-Two", "1"}, {"x-two", "2"}};
  EXPECT_EQ(request.Header("host"), "a");
  EXPECT_EQ(request.Header("x-two"), std::nullopt) << "which one?";
  EXPECT_EQ(request.Header("none"), std::nullopt);
}

TEST(WriteHeadTest, SaysHowTheBodyEnds) {
  const HttpResponse response = {.headers = {{"ETag", "x"}}, .body = "12345"};
  EXPECT_EQ(WriteHead(response, {}),
            "HTTP/1.1 200 OK\r\nETag: x\r\nContent-Type: application/json\r\n"
            "Content-Length: 5\r\nX-Content-Type-Options: nosniff\r\n"
            "Connection: keep-alive\r\n\r\n");
  EXPECT_EQ(WriteHead({.status = 404, .content_type = "text/plain"},
                      {.body_end = BodyEnd::kChunked, .keep_alive = false}),
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n"
            "Transfer-Encoding: chunked\r\n"
            "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(WriteHead({.status = 204}, {}),
            "HTTP/1.1 204 No Content\r\nX-Content-Type-Options: nosniff\r\n"
            "Connection: keep-alive\r\n\r\n");
}

TEST(WriteChunkTest, HasItsLengthInHexadecimal) {
  EXPECT_EQ(WriteChunk(std::string(26, 'x')),
            "1a\r\n" + std::string(26, 'x') + "\r\n");
}

}  // namespace
}  // namespace tandem::gateway
