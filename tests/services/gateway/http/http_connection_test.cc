#include "services/gateway/http/http_connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/services/gateway/http/test_server.h"

namespace tandem::gateway {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class HttpConnectionTest : public HttpServerFixture {};

TEST_F(HttpConnectionTest, AnswersOneRequestAfterTheOther) {
  StartServer();
  RawClient client(server_->address());
  for (int i = 0; i < 3; ++i) {
    client.Send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    EXPECT_THAT(client.ReceiveUntil("POST /x abc"),
                StartsWith("HTTP/1.1 200 OK\r\n"));
  }
}

TEST_F(HttpConnectionTest, RequestsThatComeTogetherAreAnsweredInOrder) {
  StartServer();
  RawClient client(server_->address());
  client.Send(
      "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
      "HEAD /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  const std::string received = client.ReceiveAll();
  EXPECT_LT(received.find("GET /1 "), received.find("GET /2 "));
  EXPECT_THAT(received, EndsWith("Connection: close\r\n\r\n"))
      << "no body for HEAD";
}

TEST_F(HttpConnectionTest, AClientThatWaitsIsToldToGoOn) {
  StartServer();
  RawClient client(server_->address());
  client.Send(
      "POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
      "Content-Length: 2\r\n\r\n");
  EXPECT_EQ(client.ReceiveUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.Send("hi");
  EXPECT_THAT(client.ReceiveUntil("POST /x hi"), HasSubstr(" 200 "));
}

TEST_F(HttpConnectionTest, WhatIsNoRequestGetsAnAnswerAndTheEnd) {
  StartServer();
  RawClient client(server_->address());
  client.Send("\x16\x03\x01 hello\r\n\r\n");
  EXPECT_THAT(client.ReceiveAll(), StartsWith("HTTP/1.1 400 Bad Request\r\n"));
  RawClient large(server_->address());
  large.Send(absl::StrCat("GET / HTTP/1.1\r\nX: ", std::string(17000, 'x')));
  EXPECT_THAT(large.ReceiveAll(), StartsWith("HTTP/1.1 431 "));
  EXPECT_EQ(handler_.requests, 0);
}

TEST_F(HttpConnectionTest, SlowRequestsAndIdleConnectionsEnd) {
  StartServer({.request_time = absl::Milliseconds(50),
               .idle_time = absl::Milliseconds(50)});
  RawClient slow(server_->address());
  slow.Send("GET / HTTP/1.1\r\n");
  EXPECT_THAT(slow.ReceiveAll(), StartsWith("HTTP/1.1 408 "));
  RawClient idle(server_->address());
  EXPECT_EQ(idle.ReceiveAll(), "");
}

TEST_F(HttpConnectionTest, BodiesOfAllShareABound) {
  StartServer({.body_bytes = 1000});
  RawClient client(server_->address());
  client.Send(
      absl::StrCat("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n",
                   std::string(2000, 'x')));
  EXPECT_THAT(client.ReceiveAll(), StartsWith("HTTP/1.1 503 "));
}

TEST_F(HttpConnectionTest, EventsAreAskedForOneByOne) {
  StartServer();
  StreamEvents();
  RawClient client(server_->address());
  client.Send(kGet);
  EXPECT_THAT(client.ReceiveUntil("\r\n\r\n"),
              HasSubstr("Transfer-Encoding: chunked\r\n"));
  events_->Give("data: 1\n\n");
  EXPECT_EQ(client.ReceiveUntil("\n\n\r\n"), "9\r\ndata: 1\n\n\r\n");
  events_->Give("");
  events_->Give("data: 2\n\n");
  EXPECT_EQ(client.ReceiveUntil("\n\n\r\n"), "9\r\ndata: 2\n\n\r\n");
  events_->Give(std::nullopt);
  EXPECT_EQ(client.ReceiveUntil("0\r\n\r\n"), "0\r\n\r\n");
  // The connection goes on.
  client.Send(kGet);
  EXPECT_THAT(client.ReceiveUntil("\r\n\r\n"), HasSubstr(" 200 "));
  EXPECT_FALSE(events_->left());
}

TEST_F(HttpConnectionTest, AReaderThatDoesNotReadIsNotWrittenFor) {
  StartServer();
  StreamEvents();
  RawClient client(server_->address(), /*receive_bytes=*/4096);
  client.Send(kGet);
  const std::string event(10000, 'x');
  // What socket buffers hold at both ends, and no more.
  constexpr int kEventsMax = 200;
  int given = 0;
  while (given < kEventsMax) {
    events_->Give(event);
    ++given;
    // Each event was asked for, and the next one is not while this one waits.
    const absl::Time end = absl::Now() + absl::Milliseconds(300);
    while (events_->asked() == given && absl::Now() < end) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    if (events_->asked() == given) break;
  }
  EXPECT_LT(given, kEventsMax) << "it takes 2 MB that nobody reads";
  client.Close();
  WaitFor([this] { return events_->left(); });
}

TEST_F(HttpConnectionTest, AClientThatGoesIsNoticedWhileNothingIsSent) {
  StartServer();
  StreamEvents();
  RawClient client(server_->address());
  client.Send(kGet);
  client.ReceiveUntil("\r\n\r\n");
  client.Close();
  WaitFor([this] { return events_->left(); });
  events_->Give(std::nullopt);
}

TEST_F(HttpConnectionTest, AClientThatGoesBeforeItsAnswerIsNoticed) {
  StartServer();
  std::atomic<bool> gone = false;
  std::shared_ptr<Exchange> kept;
  absl::Mutex mutex;
  handler_.answer = [&](const HttpRequest&,
                        const std::shared_ptr<Exchange>& exchange) {
    absl::MutexLock lock(&mutex);
    kept = exchange;
    exchange->OnGone([&gone] { gone = true; });
  };
  RawClient client(server_->address());
  client.Send(kGet);
  WaitFor([this] { return handler_.requests > 0; });
  client.Close();
  WaitFor([&gone] { return gone.load(); });
  absl::MutexLock lock(&mutex);
  kept->Answer({});
  kept = nullptr;
}

TEST_F(HttpConnectionTest, AStreamWithoutEventsSendsComments) {
  StartServer({.comment_interval = absl::Milliseconds(20)});
  StreamEvents();
  RawClient client(server_->address());
  client.Send(kGet);
  client.ReceiveUntil("\r\n\r\n");
  EXPECT_EQ(client.ReceiveUntil("\n\n\r\n"), "3\r\n:\n\n\r\n");
  events_->Give("data: 1\n\n");
  EXPECT_THAT(client.ReceiveUntil("data: 1\n\n\r\n"), HasSubstr("data: 1"));
  events_->Give(std::nullopt);
  EXPECT_THAT(client.ReceiveUntil("0\r\n\r\n"), EndsWith("0\r\n\r\n"));
}

TEST_F(HttpConnectionTest, OldClientsGetTheBodyUntilTheEnd) {
  StartServer();
  StreamEvents();
  RawClient client(server_->address());
  client.Send("GET /a HTTP/1.0\r\nHost: localhost\r\n\r\n");
  events_->Give("data: 1\n\n");
  events_->Give(std::nullopt);
  const std::string received = client.ReceiveAll();
  EXPECT_THAT(received, EndsWith("\r\n\r\ndata: 1\n\n"));
  EXPECT_EQ(received.find("Transfer-Encoding"), std::string::npos);
}

}  // namespace
}  // namespace tandem::gateway
