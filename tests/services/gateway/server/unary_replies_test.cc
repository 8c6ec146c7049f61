#include "services/gateway/server/unary_replies.h"

#include <gtest/gtest.h>

#include "tests/services/gateway/server/gateway_fixture.h"

namespace tandem::gateway {
namespace {

class UnaryRepliesTest : public GatewayFixture {
 protected:
  static Json BodyOf(const HttpResponse& response) {
    return Json::parse(response.body, nullptr, /*allow_exceptions=*/false);
  }

  const std::unique_ptr<client::Client> client_ = MakeClient();
};

TEST_F(UnaryRepliesTest, Models) {
  const HttpResponse all = ReplyModels(client_.get(), {});
  EXPECT_EQ(all.status, 200);
  EXPECT_EQ(BodyOf(all)["data"][0]["id"], "tales");
  EXPECT_EQ(BodyOf(ReplyModel(client_.get(), {}, "tales"))["object"], "model");
  const HttpResponse none = ReplyModel(client_.get(), {}, "other");
  EXPECT_EQ(none.status, 404);
  EXPECT_EQ(BodyOf(none)["error"]["code"], "unknown_model");
}

TEST_F(UnaryRepliesTest, Tokens) {
  EXPECT_EQ(BodyOf(ReplyTokenize(client_.get(), {}, R"({"text": "ab"})")),
            Json::parse(R"({"count": 2, "tokens": [97, 98]})"));
  EXPECT_EQ(
      BodyOf(ReplyDetokenize(client_.get(), {}, R"({"tokens": [97, 98]})")),
      Json::parse(R"({"text": "ab"})"));
  for (const char* body : {"{}", R"({"tokens": ["a"]})", R"({"tokens": 3})",
                           R"({"tokens": [], "more": 1})"}) {
    EXPECT_EQ(ReplyDetokenize(client_.get(), {}, body).status, 400) << body;
  }
  EXPECT_EQ(ReplyTokenize(client_.get(), {}, R"({"text": 3})").status, 400);
}

TEST_F(UnaryRepliesTest, Health) {
  EXPECT_EQ(ReplyHealth(client_.get()).status, 503);
  service_.SetServing("tandem.ready", true);
  EXPECT_EQ(ReplyHealth(client_.get()).status, 200);
}

TEST_F(UnaryRepliesTest, ErrorsAreMapped) {
  service_.error = MakeError(absl::StatusCode::kUnauthenticated,
                             {.reason = kReasonInvalidKey}, "no key");
  const HttpResponse response = ReplyModels(client_.get(), {});
  EXPECT_EQ(response.status, 401);
  EXPECT_EQ(BodyOf(response)["error"]["code"], "invalid_key");
  EXPECT_EQ(ReplyStatus(client_.get(), {}).status, 401);
  // The fake has no such call.
  EXPECT_EQ(ReplyInfo(client_.get(), {}).status, 501);
}

}  // namespace
}  // namespace tandem::gateway
