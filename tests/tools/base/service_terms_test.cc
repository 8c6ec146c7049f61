#include "tools/tandem/base/service_terms.h"

#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

absl::Status Error(const char* reason, std::vector<FieldViolation> violations) {
  return MakeError(absl::StatusCode::kInvalidArgument,
                   {.reason = reason, .violations = std::move(violations)},
                   "the service's own words");
}

std::string Told(const absl::Status& error, const RequestTerms& terms = {}) {
  return std::string(InFlagTerms(error, terms).message());
}

TEST(ServiceTermsTest, FieldsBecomeFlags) {
  const std::pair<const char*, const char*> cases[] = {
      {"start.options.temperature", "--temperature: is wrong"},
      {"turn.timeout_ms", "--timeout-ms: is wrong"},
      {"options.stop_strings[3]", "--stop (number 4): is wrong"},
      {"turn.options.response_format.json_schema", "--json-schema: is wrong"},
      {"options.response_format.choices", "--choice: is wrong"},
      {"start.options.stop_token_ids[0]", "--stop-token (number 1): is wrong"},
      {"options.logit_bias[1]", "--logit-bias (number 2): is wrong"},
      {"start.session_id", "--session: is wrong"},
      {"start.model_id", "--model: is wrong"},
      {"start.messages.messages[0].content", "the prompt: is wrong"},
      {"token_ids[4]", "token id (number 5): is wrong"},
      {"start.parse_special", "--special: is wrong"},
      {"start.tools[1].parameters", "--tools (number 2): is wrong"},
      {"start.tool_choice", "--tool-choice: is wrong"},
      {"start.tool_name", "--tool-choice: is wrong"},
      {"start.split_reply", "--split-reply: is wrong"},
      {"template_options", "--template-option: is wrong"},
      {"start.template_options.date", "--template-option date: is wrong"}};
  for (const auto& [field, expected] : cases) {
    EXPECT_EQ(Told(Error(kReasonInvalidOptions,
                         {{.field = field, .description = "is wrong"}})),
              expected);
  }
}

TEST(ServiceTermsTest, SeveralModels) {
  EXPECT_EQ(Told(Error(kReasonUnknownModel,
                       {{.field = "model_id",
                         .description = "must name one of a, b"}}),
                 {.model_flag = "--model-id"}),
            "--model-id: must name one of a, b");
}

TEST(ServiceTermsTest, AModelThatIsNotServed) {
  const absl::Status status =
      InFlagTerms(Error(kReasonUnknownModel, {}), {.model_id = "x"});
  EXPECT_EQ(status.message(),
            "--model \"x\" is not served: `tandem models` lists what is");
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonUnknownModel);
}

TEST(ServiceTermsTest, AnUnknownSession) {
  EXPECT_THAT(Told(Error(kReasonUnknownSession, {}), {.session_id = "abc"}),
              AllOf(HasSubstr("--session \"abc\": there is no such session"),
                    HasSubstr("leave --session out")));
}

TEST(ServiceTermsTest, ChatWithoutATemplate) {
  EXPECT_THAT(
      Told(Error(kReasonUnsupportedChatTemplate, {})),
      AllOf(HasSubstr("--chat and --system: the chat template"),
            HasSubstr("leave the flag out"), Not(HasSubstr("messages"))));
  EXPECT_THAT(
      Told(Error(kReasonUnsupportedChatTemplate,
                 {{.field = "messages", .description = "line 3: no such"}})),
      HasSubstr("--chat and --system: line 3: no such; leave"));
}

TEST(ServiceTermsTest, PromptsThatAreTooShortOrTooLong) {
  EXPECT_THAT(Told(Error(kReasonEmptyPrompt, {})),
              HasSubstr("the prompt is empty"));
  EXPECT_THAT(
      Told(Error(kReasonContextExceeded, {})),
      AllOf(HasSubstr("give a shorter prompt"), Not(HasSubstr("--session"))));
  EXPECT_THAT(Told(Error(kReasonContextExceeded, {}), {.session_id = "a"}),
              HasSubstr("without --session"));
}

TEST(ServiceTermsTest, ACallerThatIsNotAllowed) {
  EXPECT_EQ(Told(Error(kReasonCallerNotAllowed, {})),
            "the service's own words; start it with one, or give another "
            "certificate by --tls-cert and --tls-key");
}

TEST(ServiceTermsTest, OthersStayAsTheyAre) {
  EXPECT_EQ(Told(Error(kReasonExhausted, {})), "the service's own words");
  EXPECT_EQ(InFlagTerms(absl::InternalError("x"), {}),
            absl::InternalError("x"));
}

TEST(ServiceTermsTest, KeysAreNamedByTheirFlag) {
  for (const char* reason : {kReasonInvalidKey, kReasonMissingScope}) {
    EXPECT_EQ(Told(Error(reason, {})),
              "the service says: the service's own words; --key-file names the "
              "file with your key");
  }
}

}  // namespace
}  // namespace tandem::cli
