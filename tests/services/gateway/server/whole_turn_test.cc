#include "services/gateway/server/whole_turn.h"

#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "tests/services/gateway/server/gateway_fixture.h"

namespace tandem::gateway {
namespace {

class WholeTurnTest : public GatewayFixture {
 protected:
  HttpResponse Run(const ReplyFormat& format) {
    const std::unique_ptr<client::Client> client = *client::Client::Make(
        {.address = service_.address(), .resume_for = absl::ZeroDuration()});
    CallPool pool;
    TokenTextCache texts(client.get(), &pool);
    v1::TurnRequest request;
    request.set_text("Once");
    const std::shared_ptr<client::TurnStream> turn = client->Start(request);
    const client::NextEvent started = turn->Next();
    EXPECT_TRUE(started.ok()) << started.status();
    HttpResponse result;
    absl::Notification done;
    std::make_shared<WholeTurn>(turn, format, client::CallOptions(), &texts,
                                [&result, &done](HttpResponse response) {
                                  result = std::move(response);
                                  done.Notify();
                                })
        ->Begin(**started);
    done.WaitForNotification();
    return result;
  }
};

TEST_F(WholeTurnTest, AnswersWithAllOfIt) {
  const HttpResponse response = Run({.api = ReplyFormat::Api::kCompletion});
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(Json::parse(response.body)["choices"][0]["text"], "Once upon");
}

TEST_F(WholeTurnTest, AnswersWithAnErrorWhereThereIsNoEnd) {
  service_.end_early = true;
  EXPECT_GE(Run({}).status, 500);
}

}  // namespace
}  // namespace tandem::gateway
