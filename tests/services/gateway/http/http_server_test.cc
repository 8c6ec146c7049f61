#include "services/gateway/http/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/services/gateway/http/test_server.h"

namespace tandem::gateway {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class HttpServerTest : public HttpServerFixture {};

TEST_F(HttpServerTest, ServesManyAtOnce) {
  StartServer();
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([this] {
      for (int j = 0; j < 20; ++j) {
        RawClient client(server_->address());
        client.Send(kGet);
        EXPECT_THAT(client.ReceiveUntil("GET /a "), HasSubstr(" 200 "));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(handler_.requests, 160);
}

TEST_F(HttpServerTest, OneAddressHasOneServer) {
  StartServer();
  const absl::StatusOr<std::unique_ptr<HttpServer>> second = HttpServer::Start(
      {.flag = "--listen", .address = server_->address()}, &handler_);
  EXPECT_THAT(std::string(second.status().message()),
              StartsWith(absl::StrCat("--listen ", server_->address())));
}

TEST_F(HttpServerTest, StopEndsIdleConnectionsAtOnce) {
  StartServer();
  RawClient client(server_->address());
  client.Send(kGet);
  client.ReceiveUntil("GET /a ");
  server_->Stop(absl::Hours(1));
  EXPECT_EQ(client.ReceiveAll(), "");
}

TEST_F(HttpServerTest, StopLetsAnswersEnd) {
  StartServer();
  StreamEvents();
  RawClient client(server_->address());
  client.Send(kGet);
  client.ReceiveUntil("\r\n\r\n");
  std::thread stop([this] { server_->Stop(absl::Hours(1)); });
  events_->Give("data: 1\n\n");
  events_->Give(std::nullopt);
  EXPECT_THAT(client.ReceiveAll(), EndsWith("0\r\n\r\n"));
  stop.join();
}

TEST_F(HttpServerTest, StopEndsStreamsByTheirLastEvent) {
  StartServer();
  StreamEvents();
  RawClient client(server_->address());
  client.Send(kGet);
  client.ReceiveUntil("\r\n\r\n");
  std::thread stop([this] { server_->Stop(absl::Milliseconds(20)); });
  EXPECT_THAT(client.ReceiveAll(), EndsWith("7\r\nstopped\r\n0\r\n\r\n"));
  EXPECT_TRUE(events_->left());
  events_->Give(std::nullopt);
  client.Close();
  stop.join();
}

}  // namespace
}  // namespace tandem::gateway
