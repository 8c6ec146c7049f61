#include "services/gateway/server/gateway_handler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "tests/services/gateway/openai/turn_events.h"
#include "tests/services/gateway/server/gateway_fixture.h"

namespace tandem::gateway {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

class GatewayHandlerTest : public GatewayFixture {};

TEST(KeyOfTest, IsABearers) {
  HttpRequest request;
  EXPECT_EQ(KeyOf(request), "");
  request.headers = {{"Authorization", "Bearer secret"}};
  EXPECT_EQ(KeyOf(request), "secret");
  request.headers[0].value = "bearer secret";
  EXPECT_EQ(KeyOf(request), "secret");
  request.headers[0].value = "Basic secret";
  EXPECT_EQ(KeyOf(request), "");
}

TEST_F(GatewayHandlerTest, ChatsAreAnswered) {
  StartGateway();
  service_.held_back = " end";
  const httplib::Result result = Post("/v1/chat/completions", kChat);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status, 200) << result->body;
  const Json json = JsonOf(result);
  EXPECT_EQ(json["choices"][0]["message"]["content"], "Once upon end");
  EXPECT_EQ(json["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(json["usage"]["total_tokens"], 7);
  EXPECT_THAT(std::string(json["id"]), HasSubstr("chatcmpl-"));
  EXPECT_EQ(service_.last_turn().messages().messages(0).content(), "Hi");
  EXPECT_EQ(service_.last_turn().options().temperature(), 1);
}

TEST_F(GatewayHandlerTest, ChatsAreStreamed) {
  StartGateway();
  const httplib::Result result = Post("/v1/chat/completions", kChatStream);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->get_header_value("Content-Type"),
            "text/event-stream; charset=utf-8");
  EXPECT_EQ(result->get_header_value("X-Tandem-Stream"),
            absl::StrCat(kSession, "-3"));
  const std::vector<Json> chunks = Data(result->body);
  ASSERT_EQ(chunks.size(), 4u) << result->body;
  EXPECT_EQ(chunks[1]["choices"][0]["delta"]["content"], "Once");
  EXPECT_EQ(chunks[3]["choices"][0]["finish_reason"], "length");
  EXPECT_THAT(result->body, EndsWith("data: [DONE]\n\n"));
}

TEST_F(GatewayHandlerTest, SeveralChoicesAreAnswered) {
  StartGateway();
  const Json json = JsonOf(Post("/v1/completions", R"({"prompt": "Once", "n": 3,
      "seed": 5, "logprobs": 1})"));
  ASSERT_EQ(json["choices"].size(), 3u) << json;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(json["choices"][i]["index"], i);
    EXPECT_EQ(json["choices"][i]["text"], "Once upon");
    EXPECT_EQ(json["choices"][i]["finish_reason"], "length");
    EXPECT_EQ(json["choices"][i]["logprobs"]["tokens"].size(), 2u);
  }
  EXPECT_EQ(json["usage"]["prompt_tokens"], 5);
  EXPECT_EQ(json["usage"]["completion_tokens"], 6);
  std::vector<int> choices;
  for (const v1::TurnRequest& turn : service_.turns()) {
    choices.push_back(turn.options().choice());
    EXPECT_EQ(turn.options().seed(), 5u);
    EXPECT_EQ(turn.text(), "Once");
  }
  std::sort(choices.begin(), choices.end());
  EXPECT_EQ(choices, (std::vector<int>{0, 1, 2}));
  EXPECT_FALSE(service_.turns()[0].options().has_choice()) << "is the first";
}

TEST_F(GatewayHandlerTest, SeveralChoicesAreStreamed) {
  StartGateway();
  const httplib::Result result =
      Post("/v1/chat/completions",
           R"({"messages": [{"role": "user", "content": "Hi"}], "n": 2,
          "stream": true, "stream_options": {"include_usage": true}})");
  ASSERT_TRUE(result);
  EXPECT_FALSE(result->has_header("X-Tandem-Stream"));
  EXPECT_TRUE(Lines(result->body, "id").empty());
  std::map<int, std::string> texts;
  int ends = 0;
  Json usage;
  for (const Json& chunk : Data(result->body)) {
    if (chunk["choices"].empty()) {
      usage = chunk["usage"];
      continue;
    }
    EXPECT_TRUE(usage.is_null()) << "comes last";
    const Json& choice = chunk["choices"][0];
    const int index = choice["index"];
    if (choice["delta"].contains("content")) {
      texts[index] += choice["delta"]["content"].get<std::string>();
    }
    ends += choice["finish_reason"].is_null() ? 0 : 1;
  }
  EXPECT_EQ(texts,
            (std::map<int, std::string>{{0, "Once upon"}, {1, "Once upon"}}));
  EXPECT_EQ(ends, 2);
  EXPECT_EQ(usage["completion_tokens"], 4);
  EXPECT_EQ(usage["prompt_tokens"], 5);
  EXPECT_THAT(result->body, EndsWith("data: [DONE]\n\n"));
}

TEST_F(GatewayHandlerTest, SeveralChoicesFailAsOne) {
  StartGateway();
  service_.error = Exhausted("no room", 3000);
  EXPECT_EQ(Post("/v1/completions", R"({"prompt": "Once", "n": 2})")->status,
            429);
  EXPECT_EQ(Post("/v1/completions", R"({"prompt": "Once", "n": 65})")->status,
            400);
}

TEST_F(GatewayHandlerTest, APromptOfTokensIsEchoed) {
  StartGateway();
  const Json json =
      JsonOf(Post("/v1/completions", R"({"prompt": [72, 105], "echo": true,
          "max_tokens": 2, "logprobs": 1})"));
  // The fake's tokens are bytes.
  EXPECT_EQ(json["choices"][0]["text"], "HiOnce upon") << json;
  const Json& logprobs = json["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["tokens"].size(), 5u);
  EXPECT_TRUE(logprobs["token_logprobs"][0].is_null());
  EXPECT_EQ(logprobs["tokens"][4], "e");
  EXPECT_EQ(service_.last_turn().prompt_logprobs(), 1);
  EXPECT_EQ(service_.last_turn().tokens().ids_size(), 2);
  const Json choices = JsonOf(
      Post("/v1/completions", R"({"prompt": [72, 105], "echo": true, "n": 3,
          "max_tokens": 0})"));
  ASSERT_EQ(choices["choices"].size(), 3u) << choices;
  for (const Json& choice : choices["choices"]) {
    EXPECT_EQ(choice["text"], "Hi");
    EXPECT_EQ(choice["finish_reason"], "length");
  }
  EXPECT_EQ(choices["usage"]["completion_tokens"], 0);
  service_.error = InvalidField("token_ids[1]", "must be below 100");
  const httplib::Result wrong =
      Post("/v1/completions", R"({"prompt": [72, 105], "echo": true})");
  EXPECT_EQ(wrong->status, 400);
  EXPECT_EQ(JsonOf(wrong)["error"]["param"], "prompt[1]");
}

TEST_F(GatewayHandlerTest, AnEchoThatIsTooMuchIsRefused) {
  StartGateway();
  for (const char* more : {"", R"(, "stream": true)"}) {
    const std::string body =
        absl::StrCat(R"({"echo": true, "n": 64, "prompt": ")",
                     std::string((1 << 20) + 1, 'x'), "\"", more, "}");
    const httplib::Result result = Post("/v1/completions", body);
    EXPECT_EQ(result->status, 400);
    EXPECT_EQ(JsonOf(result)["error"]["param"], "echo");
  }
}

TEST_F(GatewayHandlerTest, CompletionsAndResponsesAreAnswered) {
  StartGateway();
  const Json completion =
      JsonOf(Post("/v1/completions", R"({"prompt": "Once"})"));
  EXPECT_EQ(completion["choices"][0]["text"], "Once upon");
  EXPECT_EQ(service_.last_turn().options().max_tokens(), 16);
  const Json response = JsonOf(Post("/v1/responses", R"({"input": "Hi"})"));
  EXPECT_EQ(response["output"][0]["content"][0]["text"], "Once upon");
  const httplib::Result stream =
      Post("/v1/responses", R"({"input": "Hi", "stream": true})");
  EXPECT_EQ(Lines(stream->body, "event").back(), "response.incomplete");
}

TEST_F(GatewayHandlerTest, RepliesHaveTheirParts) {
  service_.texts = {"<think>so</think>", "<call>"};
  service_.replies.resize(2);
  service_.replies[0].set_reasoning("so");
  v1::ToolCallDelta* call = service_.replies[1].add_tool_calls();
  call->set_id("call_1");
  call->set_name("f");
  call->set_arguments("{}");
  StartGateway();
  const Json message =
      JsonOf(Post("/v1/chat/completions", kChat))["choices"][0]["message"];
  EXPECT_TRUE(message["content"].is_null());
  EXPECT_EQ(message["reasoning_content"], "so");
  EXPECT_EQ(message["tool_calls"][0]["function"]["arguments"], "{}");
  const std::vector<Json> chunks =
      Data(Post("/v1/chat/completions", kChatStream)->body);
  ASSERT_GE(chunks.size(), 4u);
  EXPECT_EQ(chunks[1]["choices"][0]["delta"],
            Json({{"reasoning_content", "so"}}));
  EXPECT_EQ(chunks[2]["choices"][0]["delta"]["tool_calls"][0]["id"], "call_1");
  const Json output =
      JsonOf(Post("/v1/responses", R"({"input": "Hi"})"))["output"];
  ASSERT_EQ(output.size(), 2u);
  EXPECT_EQ(output[0]["content"][0]["text"], "so");
  EXPECT_EQ(output[1]["call_id"], "call_1");
}

TEST_F(GatewayHandlerTest, OnlyTheLastResponseIsContinued) {
  StartGateway();
  const std::string before = absl::StrCat("\"resp_", kSession, "-");
  const httplib::Result good =
      Post("/v1/responses",
           absl::StrCat(R"({"input": "Hi", )", R"("previous_response_id": )",
                        before, "2\"}"));
  EXPECT_EQ(good->status, 200) << good->body;
  const httplib::Result bad =
      Post("/v1/responses",
           absl::StrCat(R"({"input": "Hi", )", R"("previous_response_id": )",
                        before, "1\"}"));
  EXPECT_EQ(bad->status, 400);
  EXPECT_EQ(JsonOf(bad)["error"]["param"], "previous_response_id");
}

TEST_F(GatewayHandlerTest, LogprobsHaveTexts) {
  StartGateway();
  const Json json = JsonOf(Post(
      "/v1/chat/completions",
      R"({"messages": [{"role": "user", "content": "Hi"}], "logprobs": true,
          "top_logprobs": 1})"));
  // The fake's tokens are bytes.
  const Json& content = json["choices"][0]["logprobs"]["content"];
  ASSERT_EQ(content.size(), 2u);
  EXPECT_EQ(content[0]["token"], "d");
  EXPECT_EQ(content[1]["token"], "e");
  EXPECT_EQ(content[0]["top_logprobs"][0]["token"], "\a");
}

TEST_F(GatewayHandlerTest, ErrorsAreOpenAisObjects) {
  StartGateway();
  const httplib::Result own =
      Post("/v1/chat/completions", R"({"messages": 3})");
  EXPECT_EQ(own->status, 400);
  EXPECT_EQ(JsonOf(own)["error"]["param"], "messages");
  EXPECT_EQ(Post("/v1/chat/completions", "{")->status, 400);
  service_.error = Exhausted("no room", 3000);
  for (const char* body : {kChat, kChatStream}) {
    const httplib::Result result = Post("/v1/chat/completions", body);
    EXPECT_EQ(result->status, 429);
    EXPECT_EQ(result->get_header_value("Retry-After"), "3");
    EXPECT_EQ(JsonOf(result)["error"]["code"], "exhausted");
  }
}

TEST_F(GatewayHandlerTest, KeysArePassedOn) {
  StartGateway();
  Post("/v1/chat/completions", kChat, {{"Authorization", "Bearer secret"}});
  EXPECT_EQ(service_.last_authorization(), "Bearer secret");
  Post("/v1/chat/completions", kChat);
  EXPECT_EQ(service_.last_authorization(), "");
}

TEST_F(GatewayHandlerTest, PathsAndMethodsThatAreNotThere) {
  StartGateway();
  EXPECT_EQ(http_->Get("/v1/none")->status, 404);
  EXPECT_EQ(http_->Get("/v1/chat/completions")->status, 405);
  EXPECT_EQ(Post("/v1/models", "{}")->status, 405);
  EXPECT_EQ(JsonOf(http_->Get("/v1/none"))["error"]["code"], "unknown_path");
  EXPECT_EQ(http_->Get("/v1/streams/x")->status, 404);
  EXPECT_EQ(Post("/v1/streams/x/cancel", "")->status, 404);
}

TEST_F(GatewayHandlerTest, OtherHostsAndSitesAreRefused) {
  StartGateway({.origins = {.cors_origins = {"https://chat.example.org"}}});
  EXPECT_EQ(http_->Get("/v1/models", {{"Host", "evil.example"}})->status, 421);
  EXPECT_EQ(
      http_->Get("/v1/models", {{"Origin", "https://evil.example"}})->status,
      403);
  const httplib::Result named =
      http_->Get("/v1/models", {{"Origin", "https://chat.example.org"}});
  EXPECT_EQ(named->status, 200);
  EXPECT_EQ(named->get_header_value("Access-Control-Allow-Origin"),
            "https://chat.example.org");
  const httplib::Result preflight = http_->Options(
      "/v1/chat/completions", {{"Origin", "https://chat.example.org"},
                               {"Access-Control-Request-Method", "POST"}});
  EXPECT_EQ(preflight->status, 204);
}

TEST_F(GatewayHandlerTest, ThePageIsServed) {
  const std::vector<Asset> assets = {
      {.name = "index.html", .sha256 = "aa", .text = "<html>"}};
  StartGateway({.assets = assets});
  EXPECT_EQ(http_->Get("/")->body, "<html>");
  EXPECT_EQ(http_->Get("/assets/index.html")->status, 200);
  EXPECT_EQ(http_->Get("/", {{"If-None-Match", "\"aa\""}})->status, 304);
  EXPECT_EQ(Post("/", "")->status, 405);
}

}  // namespace
}  // namespace tandem::gateway
