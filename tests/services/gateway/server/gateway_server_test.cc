// With a whole coordinator and fake workers: what becomes of turns whose client
// goes.

#include "services/gateway/server/gateway_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include "absl/strings/str_cat.h"
#include "tests/services/coordinator/service_fixture.h"
#include "tests/services/gateway/http/test_server.h"
#include "tests/services/gateway/openai/turn_events.h"

namespace tandem::gateway {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(CheckGatewayListenTest, OthersMayNotReachIt) {
  EXPECT_TRUE(CheckGatewayListen("127.0.0.1:8080").ok());
  EXPECT_TRUE(CheckGatewayListen("[::1]:0").ok());
  EXPECT_TRUE(CheckGatewayListen("unix:/tmp/gateway.sock").ok());
  EXPECT_THAT(std::string(CheckGatewayListen("0.0.0.0:8080").message()),
              StartsWith("--listen 0.0.0.0:8080: others can reach"));
  EXPECT_FALSE(CheckGatewayListen("8080").ok());
}

TEST(GatewayServerStartTest, RefusesWhatCanNotBe) {
  EXPECT_FALSE(GatewayServer::Start({.listen = "0.0.0.0:0"}).ok());
  EXPECT_FALSE(GatewayServer::Start(
                   {.listen = "127.0.0.1:0", .coordinator = "http://a:1"})
                   .ok());
  EXPECT_FALSE(GatewayServer::Start({.listen = "127.0.0.1:0",
                                     .origins = {.cors_origins = {"*"}}})
                   .ok());
}

class GatewayServerTest : public ServiceFixture {
 protected:
  void StartGateway(absl::Duration resume_time = kResumeTime) {
    StartAll();
    GatewayOptions options;
    options.listen = "127.0.0.1:0";
    options.coordinator = server_->address();
    options.metrics.listen = "127.0.0.1:0";
    options.resume_time = resume_time;
    absl::StatusOr<std::unique_ptr<GatewayServer>> gateway =
        GatewayServer::Start(options);
    ASSERT_TRUE(gateway.ok()) << gateway.status();
    gateway_ = *std::move(gateway);
    http_ = std::make_unique<httplib::Client>(
        absl::StrCat("http://", gateway_->address()));
  }
  static std::string Body(bool stream, int tokens) {
    return absl::StrCat(R"({"prompt": "abc", "seed": 5, "temperature": 0, )",
                        R"("ignore_eos": true, "max_tokens": )", tokens,
                        R"(, "stream": )", stream ? "true" : "false", "}");
  }
  static std::string RawRequest(const std::string& body) {
    return absl::StrCat(
        "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n"
        "Content-Length: ",
        body.size(), "\r\n\r\n", body);
  }
  static std::string TextOf(const std::string& events) {
    std::string text;
    for (const Json& chunk : Data(events)) {
      for (const Json& choice : chunk["choices"]) {
        text += std::string(choice["text"]);
      }
    }
    return text;
  }
  // Whether no worker has anything open.
  bool IsFree() {
    return target_->service().streams == 0 && draft_->service().streams == 0;
  }

  std::unique_ptr<GatewayServer> gateway_;
  std::unique_ptr<httplib::Client> http_;
};

constexpr int kLong = 3000;

TEST_F(GatewayServerTest, AClientThatGoesComesBackToTheSameText) {
  StartGateway();
  const httplib::Result whole = http_->Post(
      "/v1/completions", Body(/*stream=*/false, kLong), "application/json");
  ASSERT_TRUE(whole);
  ASSERT_EQ(whole->status, 200) << whole->body;
  const std::string text = Json::parse(whole->body)["choices"][0]["text"];
  RawClient raw(gateway_->address());
  raw.Send(RawRequest(Body(/*stream=*/true, kLong)));
  std::string received;
  for (int i = 0; i < 5; ++i) received += raw.ReceiveUntil("\n\n");
  raw.Close();
  WaitFor([this] { return IsFree(); });
  const std::string id = Lines(received, "id").back();
  const std::string name = id.substr(0, id.find('-', 33));
  const httplib::Result rest = http_->Get(
      absl::StrCat("/v1/streams/", name).c_str(), {{"Last-Event-ID", id}});
  ASSERT_TRUE(rest);
  ASSERT_EQ(rest->status, 200) << rest->body;
  EXPECT_EQ(TextOf(received) + TextOf(rest->body), text);
  EXPECT_THAT(rest->body, HasSubstr("\"finish_reason\":\"length\""));
  // And once more, from the beginning.
  const httplib::Result again =
      http_->Get(absl::StrCat("/v1/streams/", name).c_str());
  EXPECT_EQ(TextOf(again->body), text);
  const httplib::Result other =
      http_->Get(absl::StrCat("/v1/streams/", name).c_str(),
                 {{"Authorization", "Bearer other"}});
  EXPECT_EQ(other->status, 404);
}

TEST_F(GatewayServerTest, AStreamThatIsCancelledEndsByItsOwnEvent) {
  StartGateway();
  RawClient raw(gateway_->address());
  raw.Send(RawRequest(Body(/*stream=*/true, 90000)));
  const std::string head = raw.ReceiveUntil("\n\n");
  const std::string id = Lines(head, "id").back();
  const std::string name = id.substr(0, id.find('-', 33));
  const httplib::Result cancelled =
      http_->Post(absl::StrCat("/v1/streams/", name, "/cancel").c_str(), "",
                  "application/json");
  ASSERT_TRUE(cancelled);
  EXPECT_EQ(cancelled->status, 200) << cancelled->body;
  EXPECT_THAT(raw.ReceiveUntil("0\r\n\r\n"),
              HasSubstr("\"finish_reason\":\"stop\""));
  WaitFor([this] { return IsFree(); });
}

TEST_F(GatewayServerTest, WhoDoesNotComeBackIsForgotten) {
  StartGateway(absl::Milliseconds(1));
  RawClient raw(gateway_->address());
  raw.Send(RawRequest(Body(/*stream=*/true, 90000)));
  const std::string id = Lines(raw.ReceiveUntil("\n\n"), "id").back();
  const std::string name = id.substr(0, id.find('-', 33));
  raw.Close();
  httplib::Client metrics(absl::StrCat("http://", gateway_->metrics_address()));
  WaitFor([&metrics] {
    return metrics.Get("/metrics")
               ->body.find("tandem_http_streams_cancelled_total 1") !=
           std::string::npos;
  });
  EXPECT_EQ(http_->Get(absl::StrCat("/v1/streams/", name).c_str())->status,
            404);
  WaitFor([this] { return IsFree(); });
}

TEST_F(GatewayServerTest, AnAnswerThatNobodyWaitsForIsCancelled) {
  StartGateway();
  RawClient raw(gateway_->address());
  raw.Send(RawRequest(Body(/*stream=*/false, 90000)));
  WaitFor([this] { return !IsFree(); });
  raw.Close();
  WaitFor([this] { return IsFree(); });
}

TEST_F(GatewayServerTest, StopEndsStreamsByAnErrorEvent) {
  StartGateway();
  RawClient raw(gateway_->address());
  raw.Send(RawRequest(Body(/*stream=*/true, 90000)));
  raw.ReceiveUntil("\n\n");
  std::thread stop([this] { gateway_->Stop(absl::Milliseconds(1)); });
  EXPECT_THAT(raw.ReceiveAll(), HasSubstr("\"code\":\"draining\""));
  stop.join();
}

}  // namespace
}  // namespace tandem::gateway
