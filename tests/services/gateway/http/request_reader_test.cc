#include "services/gateway/http/request_reader.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace tandem::gateway {
namespace {

using State = RequestReader::State;

constexpr char kPost[] =
    "POST /v1/x?a=b HTTP/1.1\r\nHost: localhost\r\nX-A: 1\r\n"
    "Content-Length: 4\r\n\r\nbody";

TEST(RequestReaderTest, ReadsARequest) {
  RequestReader reader;
  std::string input = absl::StrCat(kPost, "GET ");
  ASSERT_EQ(reader.Read(&input), State::kDone);
  EXPECT_EQ(input, "GET ") << "belongs to the next one";
  const HttpRequest request = reader.Take();
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.path, "/v1/x");
  EXPECT_EQ(request.Header("x-a"), "1");
  EXPECT_EQ(request.body, "body");
  EXPECT_TRUE(request.keep_alive);
  EXPECT_TRUE(request.takes_chunks);
}

TEST(RequestReaderTest, TakesBytesOneByOne) {
  RequestReader reader;
  std::string input;
  const std::string whole = kPost;
  for (size_t i = 0; i < whole.size(); ++i) {
    input += whole[i];
    ASSERT_EQ(reader.Read(&input),
              i + 1 == whole.size() ? State::kDone : State::kNeedMore)
        << i;
  }
  EXPECT_EQ(reader.Take().body, "body");
}

TEST(RequestReaderTest, TakesChunks) {
  RequestReader reader;
  std::string input =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
  ASSERT_EQ(reader.Read(&input), State::kDone);
  EXPECT_EQ(reader.Take().body, "abcde");
}

TEST(RequestReaderTest, OldClientsGetNoChunksAndNoSecondAnswer) {
  RequestReader reader;
  std::string input = "GET / HTTP/1.0\r\n\r\n";
  ASSERT_EQ(reader.Read(&input), State::kDone);
  const HttpRequest request = reader.Take();
  EXPECT_FALSE(request.keep_alive);
  EXPECT_FALSE(request.takes_chunks);
}

TEST(RequestReaderTest, HeadsAndBodiesHaveBounds) {
  RequestReader head;
  std::string input = absl::StrCat(
      "GET / HTTP/1.1\r\nX: ", std::string(kHeadBytesMax, 'x'), "\r\n\r\n");
  EXPECT_EQ(head.Read(&input), State::kHeadTooLarge);
  RequestReader body;
  input = absl::StrCat("POST / HTTP/1.1\r\nContent-Length: ", kBodyBytesMax + 1,
                       "\r\n\r\n");
  EXPECT_EQ(body.Read(&input), State::kBodyTooLarge);
  RequestReader chunks;
  input = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\nabc";
  EXPECT_EQ(chunks.Read(&input), State::kBodyTooLarge);
}

TEST(RequestReaderTest, WhatIsNoRequestIsMalformed) {
  for (const char* text :
       {"\x16\x03\x01\x02", "PRI * HTTP/2.0\r\n\r\n", "GET /\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked"
        "\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"}) {
    RequestReader reader;
    std::string input = text;
    EXPECT_EQ(reader.Read(&input), State::kMalformed) << text;
  }
}

TEST(RequestReaderTest, SaysOnceThatTheClientWaits) {
  RequestReader reader;
  std::string input =
      "POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n";
  ASSERT_EQ(reader.Read(&input), State::kNeedMore);
  EXPECT_TRUE(reader.TakeExpectsContinue());
  EXPECT_FALSE(reader.TakeExpectsContinue());
  input.assign(1, 'x');
  EXPECT_EQ(reader.Read(&input), State::kDone);
  EXPECT_EQ(reader.body_bytes(), 1u);
}

}  // namespace
}  // namespace tandem::gateway
