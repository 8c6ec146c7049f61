#include "tools/tandem/base/client.h"

#include "gmock/gmock.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "gtest/gtest.h"
#include "services/common/channel.h"
#include "tandem/v1/worker.grpc.pb.h"
#include "tests/tools/fake_service.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;

TurnListener Ignore() {
  return {.on_started = [](const v1::TurnStarted&) {},
          .on_tokens = [](const v1::TokensGenerated&) {}};
}

TEST(ClientTest, CancelBeforeTheTurnEndsItAsItStarts) {
  FakeService service;
  service.wait_for_cancel = true;
  const auto client = Client::Make({.coordinator = service.address()});
  ASSERT_TRUE(client.ok());
  (*client)->CancelTurn();
  const auto ended = (*client)->RunTurn({}, Ignore());
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_EQ(ended->finish_reason(), v1::FINISH_REASON_CANCELLED);
}

TEST(ClientTest, TurnsFollowEachOther) {
  FakeService service;
  const auto client = Client::Make({.coordinator = service.address()});
  ASSERT_TRUE(client.ok());
  for (int turn = 0; turn < 2; ++turn) {
    const auto ended = (*client)->RunTurn({}, Ignore());
    ASSERT_TRUE(ended.ok()) << ended.status();
    EXPECT_EQ(ended->finish_reason(), v1::FINISH_REASON_LENGTH);
  }
}

TEST(ClientTest, AServerOfAnotherKindIsNamed) {
  v1::WorkerService::Service worker;  // answers nothing of ours
  grpc::ServerBuilder builder;
  ConfigureServer(&builder);
  builder.RegisterService(&worker);
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  const auto server = builder.BuildAndStart();
  const auto client =
      Client::Make({.coordinator = "127.0.0.1:" + std::to_string(port)});
  ASSERT_TRUE(client.ok());
  const auto ended = (*client)->RunTurn({}, Ignore());
  EXPECT_TRUE(absl::IsUnimplemented(ended.status()));
  EXPECT_THAT(std::string(ended.status().message()),
              HasSubstr("is no tandem coordinator"));
}

TEST(ClientTest, UnreadableTlsFilesAreWrongUsage) {
  const auto client = Client::Make(
      {.coordinator = "127.0.0.1:1",
       .tls = {.ca = "/nonexistent/ca.pem", .cert = "", .key = ""}});
  EXPECT_THAT(std::string(client.status().message()),
              HasSubstr("/nonexistent/ca.pem"));
}

}  // namespace
}  // namespace tandem::cli
