#include "services/client/client.h"

#include <gmock/gmock.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/support/server_callback.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "engine/base/status.h"
#include "tests/services/client/fake_turns.h"

namespace tandem::client {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<Client> MakeClient(ClientOptions options) {
  auto client = Client::Make(std::move(options));
  EXPECT_TRUE(client.ok()) << client.status();
  return *std::move(client);
}

TEST(ClientTest, UnaryCalls) {
  FakeTurns service;
  const auto client = MakeClient({.address = service.address()});
  v1::TokenizeRequest request;
  request.set_text("ab");
  const auto response = client->Tokenize(request);
  ASSERT_TRUE(response.ok()) << response.status();
  EXPECT_EQ(response->token_ids_size(), 2);
  // The fake has no more methods.
  EXPECT_TRUE(absl::IsUnimplemented(client->Detokenize({}).status()));
  EXPECT_TRUE(absl::IsUnimplemented(client->Score({}).status()));
  EXPECT_TRUE(absl::IsUnimplemented(client->ListModels().status()));
  EXPECT_TRUE(absl::IsUnimplemented(client->GetServerInfo().status()));
  EXPECT_TRUE(absl::IsUnimplemented(client->GetStatus().status()));
  EXPECT_TRUE(absl::IsUnimplemented(client->ListSessions({}).status()));
  EXPECT_TRUE(absl::IsUnimplemented(client->ShowSession({}).status()));
  EXPECT_TRUE(absl::IsUnimplemented(client->DeleteSession({}).status()));
}

TEST(ClientTest, Health) {
  FakeTurns service;
  const auto client = MakeClient({.address = service.address()});
  EXPECT_TRUE(client->IsHealthy("", absl::Seconds(10)));
  EXPECT_FALSE(client->IsHealthy("tandem.ready", absl::Seconds(10)));
}

TEST(ClientTest, NobodyListens) {
  const auto client = MakeClient({.address = "unix:/nonexistent/socket"});
  EXPECT_EQ(client->ListModels().status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_FALSE(client->IsHealthy("", absl::Seconds(10)));
  int losses = 0;
  const auto stream = client->Start(
      {}, {.on_lost = [&losses](const LostConnection&) { ++losses; }});
  const absl::Status error = ReadAll(stream.get()).error;
  EXPECT_EQ(error.code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(GetErrorDetail(error).has_value());
  EXPECT_EQ(losses, 0) << "there was no connection to lose";
}

TEST(ClientTest, KeysOfTheClientAndOfTheCall) {
  FakeTurns service;
  const auto plain = MakeClient({.address = service.address()});
  (void)plain->Tokenize({});
  EXPECT_EQ(service.authorization(), "");
  const auto client =
      MakeClient({.address = service.address(), .api_key = "own"});
  (void)client->Tokenize({});
  EXPECT_EQ(service.authorization(), "Bearer own");
  (void)client->Tokenize({}, {.api_key = "other"});
  EXPECT_EQ(service.authorization(), "Bearer other");
  ReadAll(client->Start({}).get());
  EXPECT_EQ(service.authorization(), "Bearer own");
  ReadAll(plain->Start({}, {.api_key = "other"}).get());
  EXPECT_EQ(service.authorization(), "Bearer other");
}

TEST(ClientTest, AKeyNeverGoesInPlainText) {
  for (const ClientOptions& options :
       {ClientOptions{.address = "192.0.2.1:7070", .api_key = "k"},
        ClientOptions{.address = "dns:///localhost:1", .api_key = "k"},
        ClientOptions{
            .address = "127.0.0.1:1", .http_proxy = true, .api_key = "k"}}) {
    const absl::Status error = Client::Make(options).status();
    EXPECT_EQ(error.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(error.message()), HasSubstr("in plain text"));
  }
  const auto client = MakeClient({.address = "192.0.2.1:7070"});
  const CallOptions call = {.api_key = "k"};
  for (const absl::Status& error :
       {client->Tokenize({}, call).status(),
        ReadAll(client->Start({}, call).get()).error,
        ReadAll(client->Resume({.session_id = "s", .turn = 1}, call).get())
            .error}) {
    EXPECT_EQ(error.code(), absl::StatusCode::kInvalidArgument) << error;
  }
}

TEST(ClientTest, WhatCanNotBeUsedIsRefusedAtOnce) {
  EXPECT_THAT(
      std::string(Client::Make({.address = "http://a:1"}).status().message()),
      HasSubstr("is a URL"));
  EXPECT_THAT(std::string(Client::Make({.tls = {.ca = "/nonexistent.pem",
                                                .cert = "",
                                                .key = ""}})
                              .status()
                              .message()),
              HasSubstr("/nonexistent.pem"));
  const auto client = MakeClient({});
  for (const TurnPosition& position :
       {TurnPosition{}, TurnPosition{.session_id = "s"},
        TurnPosition{.turn = 1}}) {
    EXPECT_EQ(ReadAll(client->Resume(position).get()).error.code(),
              absl::StatusCode::kInvalidArgument);
  }
}

TEST(ClientTest, TheTimeOfATurnEnds) {
  FakeTurns service;
  service.waits_for_cancel = true;
  const auto client = MakeClient({.address = service.address()});
  const auto stream = client->Start({}, {.timeout = absl::Milliseconds(300)});
  const Received received = ReadAll(stream.get());
  EXPECT_EQ(received.error.code(), absl::StatusCode::kDeadlineExceeded);
}

// Real connections that break: the server goes and comes again.
TEST(ClientTest, ATurnOutlastsItsServer) {
  const std::string address =
      absl::StrCat("unix:", ::testing::TempDir(), "client-", getpid());
  auto service = std::make_unique<FakeTurns>(address);
  service->waits_for_cancel = true;
  const auto client = MakeClient({.address = address});
  int losses = 0;
  const auto stream = client->Start(
      {}, {.on_lost = [&losses](const LostConnection&) { ++losses; }});
  Received received = ReadAll(stream.get(), 4);
  EXPECT_EQ(received.tokens.size(), 3u);
  service.reset();
  service = std::make_unique<FakeTurns>(address);  // knows the turn
  const Received rest = ReadAll(stream.get());
  EXPECT_TRUE(rest.error.ok()) << rest.error;
  EXPECT_EQ(rest.tokens, (std::vector<int32_t>{103, 104, 105}));
  EXPECT_EQ(received.text + rest.text, service->Text());
  EXPECT_GE(losses, 1);
  EXPECT_TRUE(service->firsts().at(0).has_resume());
}

// Says `started` and then nothing.
class SilentTurn final : public grpc::ServerBidiReactor<v1::ConverseRequest,
                                                        v1::ConverseResponse> {
 public:
  SilentTurn() {
    response_.mutable_started()->set_session_id("s");
    response_.mutable_started()->set_turn(1);
    StartWrite(&response_);
  }
  void OnCancel() override { Finish(grpc::Status::CANCELLED); }
  void OnDone() override { delete this; }

 private:
  v1::ConverseResponse response_;
};

class SilentService final : public v1::GenerationService::CallbackService {
 public:
  grpc::ServerBidiReactor<v1::ConverseRequest, v1::ConverseResponse>* Converse(
      grpc::CallbackServerContext* /*context*/) override {
    return new SilentTurn();
  }
};

int Threads() {
  std::ifstream status("/proc/self/status");
  std::string line;
  int threads = 0;
  while (std::getline(status, line)) {
    absl::string_view rest = line;
    if (absl::ConsumePrefix(&rest, "Threads:")) {
      (void)absl::SimpleAtoi(rest, &threads);
    }
  }
  return threads;
}

TEST(ClientTest, AThousandTurnsHaveNoThreads) {
  SilentService service;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterService(&service);
  const auto server = builder.BuildAndStart();
  const auto client = MakeClient({.address = absl::StrCat("127.0.0.1:", port)});
  std::vector<std::shared_ptr<TurnStream>> streams;
  for (int i = 0; i < 1000; ++i) {
    streams.push_back(client->Start({}));
    ASSERT_TRUE(streams.back()->Next().ok());
    streams.back()->Next([](const NextEvent&) {});
  }
  EXPECT_GT(Threads(), 0);
  EXPECT_LT(Threads(), 100);
}

}  // namespace
}  // namespace tandem::client
