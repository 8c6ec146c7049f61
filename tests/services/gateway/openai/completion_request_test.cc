// ParseCompletionRequest.

#include <gtest/gtest.h>

#include "services/gateway/openai/api_request.h"

namespace tandem::gateway {
namespace {

absl::StatusOr<ApiRequest> Parse(const std::string& text) {
  return ParseCompletionRequest(Json::parse(text), text);
}

TEST(ParseCompletionRequestTest, Prompts) {
  EXPECT_EQ(Parse(R"({"prompt": "Once"})")->turn.text(), "Once");
  EXPECT_EQ(Parse(R"({"prompt": ["Once"]})")->turn.text(), "Once");
  const absl::StatusOr<ApiRequest> ids = Parse(R"({"prompt": [1, 2, 3]})");
  ASSERT_TRUE(ids.ok());
  EXPECT_EQ(ids->turn.tokens().ids_size(), 3);
  EXPECT_EQ(Parse(R"({"prompt": [[1, 2]]})")->turn.tokens().ids_size(), 2);
  EXPECT_EQ(Parse(R"({"prompt": [7]})")->turn.tokens().ids(0), 7);
  for (const char* text :
       {"{}", R"({"prompt": ["a", "b"]})", R"({"prompt": []})",
        R"({"prompt": [1.5, 2]})", R"({"prompt": [99999999999, 1]})",
        R"({"prompt": 3})"}) {
    const absl::StatusOr<ApiRequest> request = Parse(text);
    ASSERT_FALSE(request.ok()) << text;
    EXPECT_EQ(ErrorObject(request.status())["param"], "prompt") << text;
  }
}

TEST(ParseCompletionRequestTest, Options) {
  const absl::StatusOr<ApiRequest> plain = Parse(R"({"prompt": "x"})");
  EXPECT_EQ(plain->turn.options().max_tokens(), 16) << "as OpenAI's";
  EXPECT_EQ(Parse(R"({"prompt": "x", "n": 2, "best_of": 2})")->format.choices,
            2);
  const absl::StatusOr<ApiRequest> request =
      Parse(R"({"prompt": "x", "max_tokens": 3, "logprobs": 2, "best_of": 1,
                "echo": false, "suffix": null,
                "response_format": {"type": "json_object"}})");
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_TRUE(request->turn.options().response_format().has_json_object());
  EXPECT_EQ(request->turn.options().max_tokens(), 3);
  EXPECT_EQ(request->turn.options().logprobs(), 2);
}

TEST(ParseCompletionRequestTest, EchoAsksForThePrompt) {
  EXPECT_FALSE(
      Parse(R"({"prompt": "x", "logprobs": 1})")->turn.has_prompt_logprobs());
  const absl::StatusOr<ApiRequest> plain =
      Parse(R"({"prompt": "x", "echo": true, "max_tokens": 3})");
  ASSERT_TRUE(plain.ok()) << plain.status();
  ASSERT_TRUE(plain->format.echo.has_value());
  EXPECT_EQ(plain->format.echo->text, "x");
  EXPECT_FALSE(plain->format.has_no_reply());
  EXPECT_FALSE(plain->turn.has_prompt_logprobs());
  EXPECT_EQ(plain->turn.options().max_tokens(), 3);
  // As lm-evaluation-harness asks.
  const absl::StatusOr<ApiRequest> scored = Parse(
      R"({"model": "m", "prompt": [[1, 2]], "temperature": 0, "max_tokens": 1,
          "logprobs": 1, "seed": 1234, "echo": true})");
  ASSERT_TRUE(scored.ok()) << scored.status();
  EXPECT_EQ(scored->turn.prompt_logprobs(), 1);
  EXPECT_EQ(scored->turn.options().logprobs(), 1);
  EXPECT_EQ(scored->format.echo->logprobs, 1);
  EXPECT_FALSE(scored->format.has_no_reply());
}

TEST(ParseCompletionRequestTest, AnEchoMayStandAlone) {
  const absl::StatusOr<ApiRequest> request =
      Parse(R"({"prompt": "x", "echo": true, "max_tokens": 0, "logprobs": 2})");
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_TRUE(request->format.has_no_reply());
  EXPECT_EQ(request->turn.options().max_tokens(), 1);
  EXPECT_FALSE(request->turn.options().has_logprobs());
  EXPECT_EQ(request->turn.prompt_logprobs(), 2);
}

TEST(ParseCompletionRequestTest, WhatIsNotThereIsRefusedByName) {
  for (const auto& [field, param] :
       std::vector<std::pair<std::string, std::string>>{
           {R"("best_of": 2)", "best_of"},
           {R"("echo": 1)", "echo"},
           {R"("echo": true, "tandem": {"session_id": "s"})", "echo"},
           {R"("max_tokens": 0)", "max_tokens"},
           {R"("echo": true, "max_tokens": -1)", "max_tokens"},
           {R"("suffix": "x")", "suffix"},
           {R"("response_format": {"type": "x"})", "response_format.type"},
           {R"("logprobs": true)", "logprobs"}}) {
    const absl::StatusOr<ApiRequest> request =
        Parse("{\"prompt\": \"x\", " + field + "}");
    ASSERT_FALSE(request.ok()) << field;
    EXPECT_EQ(ErrorObject(request.status())["param"], param);
  }
}

}  // namespace
}  // namespace tandem::gateway
