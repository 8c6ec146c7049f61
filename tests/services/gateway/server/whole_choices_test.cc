#include "services/gateway/server/whole_choices.h"

#include <gtest/gtest.h>

#include "absl/synchronization/notification.h"
#include "tests/services/gateway/server/gateway_fixture.h"

namespace tandem::gateway {
namespace {

class WholeChoicesTest : public GatewayFixture {
 protected:
  HttpResponse Run(const ReplyFormat& format) {
    const std::unique_ptr<client::Client> client = *client::Client::Make(
        {.address = service_.address(), .resume_for = absl::ZeroDuration()});
    CallPool pool;
    TokenTextCache texts(client.get(), &pool);
    v1::TurnRequest request;
    request.set_text("Once");
    const auto turns = std::make_shared<ChoiceTurns>(
        client.get(), request, client::CallOptions(), format.choices);
    HttpResponse result;
    absl::Notification done;
    const auto whole = std::make_shared<WholeChoices>(
        turns, format, client::CallOptions(), &texts,
        [&result, &done](HttpResponse response) {
          result = std::move(response);
          done.Notify();
        });
    turns->Ask(0, [whole](int, const client::NextEvent& event) {
      EXPECT_TRUE(event.ok()) << event.status();
      whole->Begin(**event);
    });
    done.WaitForNotification();
    return result;
  }
};

TEST_F(WholeChoicesTest, AnswersWithAllOfThem) {
  const HttpResponse response =
      Run({.api = ReplyFormat::Api::kCompletion, .choices = 5});
  EXPECT_EQ(response.status, 200);
  const Json json = Json::parse(response.body);
  ASSERT_EQ(json["choices"].size(), 5u);
  EXPECT_EQ(json["choices"][4]["index"], 4);
  EXPECT_EQ(json["choices"][4]["text"], "Once upon");
  EXPECT_EQ(json["usage"]["completion_tokens"], 10);
}

TEST_F(WholeChoicesTest, AnswersOnceWhereThereIsNoEnd) {
  service_.end_early = true;
  EXPECT_GE(Run({.choices = 3}).status, 500);
}

}  // namespace
}  // namespace tandem::gateway
