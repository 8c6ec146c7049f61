#include "services/gateway/openai/api_error.h"

#include <gtest/gtest.h>

namespace tandem::gateway {
namespace {

TEST(HttpStatusOfTest, EachCodeHasOne) {
  EXPECT_EQ(HttpStatusOf(absl::StatusCode::kInvalidArgument), 400);
  EXPECT_EQ(HttpStatusOf(absl::StatusCode::kFailedPrecondition), 400);
  EXPECT_EQ(HttpStatusOf(absl::StatusCode::kUnauthenticated), 401);
  EXPECT_EQ(HttpStatusOf(absl::StatusCode::kPermissionDenied), 403);
  EXPECT_EQ(HttpStatusOf(absl::StatusCode::kNotFound), 404);
  EXPECT_EQ(HttpStatusOf(absl::StatusCode::kAborted), 409);
  EXPECT_EQ(HttpStatusOf(absl::StatusCode::kResourceExhausted), 429);
  EXPECT_EQ(HttpStatusOf(absl::StatusCode::kUnavailable), 503);
  EXPECT_EQ(HttpStatusOf(absl::StatusCode::kDeadlineExceeded), 504);
  EXPECT_EQ(HttpStatusOf(absl::StatusCode::kInternal), 500);
}

TEST(InTermsOfTest, FieldsAreTheClients) {
  const FieldNames names = {.max_tokens = "max_completion_tokens",
                            .prompt = "messages"};
  const auto param_of = [&names](const char* field) {
    const absl::Status status =
        InTermsOf(InvalidField(field, "must be small"), names);
    EXPECT_EQ(status.message(),
              std::string(ErrorObject(status)["param"]) + " must be small");
    return std::string(ErrorObject(status)["param"]);
  };
  EXPECT_EQ(param_of("start.options.temperature"), "temperature");
  EXPECT_EQ(param_of("start.options.max_tokens"), "max_completion_tokens");
  EXPECT_EQ(param_of("start.options.stop_strings[2]"), "stop[2]");
  EXPECT_EQ(param_of("turn.options.response_format.json_schema"),
            "response_format.json_schema.schema");
  EXPECT_EQ(param_of("start.model_id"), "model");
  EXPECT_EQ(param_of("start.text"), "messages");
  EXPECT_EQ(param_of("start.messages.messages[0]"), "messages[0]");
  EXPECT_EQ(param_of("messages.messages[1].role"), "messages[1].role");
  EXPECT_EQ(param_of("messages.messages[1].tool_calls[10].arguments"),
            "messages[1].tool_calls[10].function.arguments");
  EXPECT_EQ(param_of("messages.messages[1].tool_calls[0].id"),
            "messages[1].tool_calls[0].id");
  EXPECT_EQ(param_of("messages.messages[1].tool_calls"),
            "messages[1].tool_calls");
  EXPECT_EQ(param_of("start.tools"), "tools");
  EXPECT_EQ(param_of("start.tools[3]"), "tools[3]");
  EXPECT_EQ(param_of("start.tools[3].parameters"),
            "tools[3].function.parameters");
  EXPECT_EQ(param_of("start.tool_choice"), "tool_choice");
  EXPECT_EQ(param_of("start.tool_name"), "tool_choice.function.name");
  EXPECT_EQ(param_of("start.tool_calls_max"), "parallel_tool_calls");
  EXPECT_EQ(param_of("start.options.response_format"), "response_format");
  EXPECT_EQ(param_of("start.session_id"), "tandem.session_id");
}

TEST(InTermsOfTest, WordsOfGrpcAboutAddressesAreReplaced) {
  const absl::Status status = InTermsOf(
      absl::UnavailableError("failed to connect to ipv4:10.1.2.3:7070"), {});
  EXPECT_EQ(status.message(),
            "the gateway can not reach the coordinator now; try again");
  EXPECT_EQ(InTermsOf(NoWorker("no worker"), {}).message(), "no worker");
}

TEST(ErrorResponseTest, IsOpenAisObject) {
  const HttpResponse response =
      ErrorResponse(InvalidField("temperature", "must be in [0, 100]"));
  EXPECT_EQ(response.status, 400);
  EXPECT_EQ(response.body,
            "{\"error\":{\"message\":\"temperature must be in [0, 100]\","
            "\"type\":\"invalid_request_error\",\"param\":\"temperature\","
            "\"code\":\"invalid_options\"}}");
  EXPECT_TRUE(response.headers.empty());
}

TEST(ErrorResponseTest, SaysWhenToTryAgain) {
  const HttpResponse response = ErrorResponse(Exhausted("full", 2500));
  EXPECT_EQ(response.status, 429);
  ASSERT_EQ(response.headers.size(), 1u);
  EXPECT_EQ(response.headers[0].name, "Retry-After");
  EXPECT_EQ(response.headers[0].value, "3");
  EXPECT_EQ(ErrorResponse(Draining("ends")).headers[0].value, "1");
  EXPECT_EQ(ErrorResponse(503, "exhausted", "full").headers[0].value, "1");
}

TEST(ErrorResponseTest, AMissingKeyIsAskedFor) {
  const HttpResponse response = ErrorResponse(MakeError(
      absl::StatusCode::kUnauthenticated, {.reason = kReasonInvalidKey}, "no"));
  EXPECT_EQ(response.status, 401);
  EXPECT_EQ(response.headers[0].name, "WWW-Authenticate");
  EXPECT_EQ(Json::parse(response.body)["error"]["code"], "invalid_key");
  EXPECT_EQ(Json::parse(response.body)["error"]["type"],
            "authentication_error");
}

}  // namespace
}  // namespace tandem::gateway
