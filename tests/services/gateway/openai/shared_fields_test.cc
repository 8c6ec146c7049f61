#include "services/gateway/openai/shared_fields.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/services/gateway/openai/turn_events.h"

namespace tandem::gateway {
namespace {

absl::StatusOr<ApiRequest> Read(const std::string& text) {
  const Json body = Json::parse(text);
  ApiRequest request;
  JsonFields fields(body);
  ReadShared(&fields, &request);
  ReadSampling(&fields, &request);
  ReadMaxTokens(&fields, "max_tokens", &request);
  const absl::Status status = fields.Finish();
  if (!status.ok()) return status;
  return request;
}

TEST(ReadSharedTest, DefaultsAreOpenAis) {
  const v1::GenerationOptions options = Read("{}")->turn.options();
  EXPECT_EQ(options.temperature(), 1);
  EXPECT_EQ(options.top_p(), 1);
  EXPECT_TRUE(options.has_top_k());
  EXPECT_EQ(options.top_k(), 0);
  EXPECT_EQ(options.repetition_penalty(), 1);
  EXPECT_FALSE(options.has_seed());
  EXPECT_FALSE(options.has_max_tokens());
  EXPECT_FALSE(options.has_logprobs());
  EXPECT_FALSE(options.has_draft_length());
}

TEST(ReadSharedTest, OptionsAreTaken) {
  const absl::StatusOr<ApiRequest> request = Read(R"({
    "model": "tales", "stream": true, "temperature": 0.5, "top_p": 0.25,
    "top_k": -1, "min_p": 0.125, "repetition_penalty": 1.5, "max_tokens": 7,
    "stop": ["a", "b"], "seed": -1, "logit_bias": {"5": 2.5, "6": -100},
    "presence_penalty": 0.5, "frequency_penalty": -0.5, "n": 1,
    "stream_options": {"include_usage": true}, "user": "me",
    "ignore_eos": true, "stop_token_ids": [3, 4], "min_tokens": 5})");
  ASSERT_TRUE(request.ok()) << request.status();
  const v1::GenerationOptions& options = request->turn.options();
  EXPECT_EQ(request->turn.model_id(), "tales");
  EXPECT_TRUE(request->format.stream);
  EXPECT_TRUE(request->format.include_usage);
  EXPECT_FALSE(request->format.with_tandem);
  EXPECT_EQ(options.temperature(), 0.5);
  EXPECT_EQ(options.top_k(), 0);
  EXPECT_EQ(options.min_p(), 0.125);
  EXPECT_EQ(options.max_tokens(), 7);
  EXPECT_EQ(options.min_tokens(), 5);
  EXPECT_EQ(options.stop_strings_size(), 2);
  EXPECT_EQ(options.seed(), 18446744073709551615u);
  ASSERT_EQ(options.logit_bias_size(), 2);
  EXPECT_EQ(options.logit_bias(0).bias(), 2.5);
  EXPECT_TRUE(std::isinf(options.logit_bias(1).bias()));
  EXPECT_EQ(options.frequency_penalty(), -0.5);
  EXPECT_TRUE(options.ignore_eos());
  EXPECT_EQ(options.stop_token_ids_size(), 2);
  EXPECT_EQ(Read(R"({"stop": "x"})")->turn.options().stop_strings(0), "x");
}

TEST(ReadSharedTest, TandemIsTaken) {
  const absl::StatusOr<ApiRequest> request = Read(R"({"tandem": {
    "draft_length": 4, "draft_sources": ["lookup"], "session_id": "abc",
    "resumable": false, "top_k": 3, "timeout_ms": 9,
    "template_options": {"date": "2026-11-28", "enable_thinking": true}}})");
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_TRUE(request->format.with_tandem);
  EXPECT_FALSE(request->format.resumable);
  EXPECT_EQ(request->turn.session_id(), "abc");
  EXPECT_EQ(request->turn.timeout_ms(), 9);
  EXPECT_EQ(request->turn.options().draft_length(), 4);
  EXPECT_EQ(request->turn.options().top_k(), 3);
  EXPECT_EQ(request->turn.options().draft_sources(), v1::DRAFT_SOURCES_LOOKUP);
  EXPECT_EQ(request->turn.template_options().at("date").text_value(),
            "2026-11-28");
  EXPECT_TRUE(
      Read(R"({"tandem": {"draft_length": null}})")->format.with_tandem);
}

TEST(ReadSharedTest, SeveralChoicesAreNotResumable) {
  EXPECT_EQ(Read(R"({"n": null})")->format.choices, 1);
  EXPECT_TRUE(Read(R"({"n": 1})")->format.resumable);
  const absl::StatusOr<ApiRequest> request = Read(R"({"n": 64})");
  ASSERT_TRUE(request.ok()) << request.status();
  EXPECT_EQ(request->format.choices, 64);
  EXPECT_FALSE(request->format.resumable);
  EXPECT_FALSE(request->turn.options().has_choice());
}

TEST(ReadSharedTest, ErrorsNameTheField) {
  for (const auto& [text, param] :
       std::vector<std::pair<std::string, std::string>>{
           {R"({"model": 3})", "model"},
           {R"({"temperature": "hot"})", "temperature"},
           {R"({"n": 65})", "n"},
           {R"({"n": 0})", "n"},
           {R"({"n": 2, "tandem": {"session_id": "abc"}})", "n"},
           {R"({"seed": 1.5})", "seed"},
           {R"({"stop": 3})", "stop"},
           {R"({"stop": [3]})", "stop"},
           {R"({"logit_bias": [1]})", "logit_bias"},
           {R"({"logit_bias": {"x": 1}})", "logit_bias"},
           {R"({"max_tokens": 0})", "max_tokens"},
           {R"({"stream_options": {}})", "stream_options"},
           {R"({"stop_token_ids": ["a"]})", "stop_token_ids"},
           {R"({"tandem": 3})", "tandem"},
           {R"({"tandem": {"draft_sources": "x"}})", "tandem.draft_sources"},
           {R"({"tandem": {"template_options": {"a": []}}})",
            "tandem.template_options"}}) {
    const absl::StatusOr<ApiRequest> request = Read(text);
    ASSERT_FALSE(request.ok()) << text;
    EXPECT_EQ(ErrorObject(request.status())["param"], param) << text;
  }
}

TEST(TurnNameTest, IsReadAsWritten) {
  const std::optional<TurnName> name =
      ParseTurnName(WriteTurnName(kSession, 12));
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(name->session_id, kSession);
  EXPECT_EQ(name->turn, 12);
  for (const std::string& text :
       {std::string("x"), std::string(kSession), kSession + std::string("-"),
        kSession + std::string("-0"), kSession + std::string("- 1"),
        kSession + std::string("-1x"), std::string(31, 'a') + "z-1"}) {
    EXPECT_FALSE(ParseTurnName(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace tandem::gateway
