#include "engine/base/status.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"

namespace tandem {
namespace {

TEST(StatusTest, DetailSurvivesTheRoundTrip) {
  const absl::Status status = MakeError(
      absl::StatusCode::kInvalidArgument,
      {.reason = kReasonInvalidOptions,
       .violations = {{.field = "temperature", .description = "is -1"},
                      {.field = "top_p", .description = ""}}},
      "two options are wrong");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "two options are wrong");
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->reason, kReasonInvalidOptions);
  ASSERT_EQ(detail->violations.size(), 2u);
  EXPECT_EQ(detail->violations[0].field, "temperature");
  EXPECT_EQ(detail->violations[0].description, "is -1");
  EXPECT_EQ(detail->violations[1].field, "top_p");
  EXPECT_EQ(detail->violations[1].description, "");
}

// What a maker made, as "CODE REASON message".
std::string Show(const absl::Status& status) {
  return absl::StrCat(absl::StatusCodeToString(status.code()), " ",
                      GetErrorDetail(status)->reason, " ", status.message());
}

TEST(StatusTest, EachMakerHasItsCodeAndReason) {
  EXPECT_EQ(Show(InvalidArgument(kReasonInvalidText, "m")),
            "INVALID_ARGUMENT INVALID_TEXT m");
  EXPECT_EQ(Show(MalformedFile("m")), "INVALID_ARGUMENT MALFORMED_FILE m");
  EXPECT_EQ(Show(UnsupportedModel("m")),
            "INVALID_ARGUMENT UNSUPPORTED_MODEL m");
  EXPECT_EQ(Show(UnknownModel("m")), "NOT_FOUND UNKNOWN_MODEL m");
  EXPECT_EQ(Show(WrongState("m")), "FAILED_PRECONDITION WRONG_STATE m");
  EXPECT_EQ(Show(Exhausted("m")), "RESOURCE_EXHAUSTED EXHAUSTED m");
  EXPECT_EQ(Show(NoWorker("m")), "UNAVAILABLE NO_WORKER m");
  EXPECT_EQ(Show(Draining("m")), "UNAVAILABLE DRAINING m");
}

TEST(StatusTest, InvalidFieldNamesTheFieldTwice) {
  const absl::Status status = InvalidField("top_p", "must be 1");
  EXPECT_EQ(Show(status), "INVALID_ARGUMENT INVALID_OPTIONS top_p must be 1");
  const ErrorDetail detail = *GetErrorDetail(status);
  ASSERT_EQ(detail.violations.size(), 1u);
  EXPECT_EQ(detail.violations[0].field, "top_p");
  EXPECT_EQ(detail.violations[0].description, "must be 1");
  EXPECT_EQ(Show(InvalidField("tokens", "is empty", kReasonEmptyPrompt)),
            "INVALID_ARGUMENT EMPTY_PROMPT tokens is empty");
}

TEST(StatusTest, TheRetryDelayIsKept) {
  EXPECT_EQ(GetErrorDetail(Exhausted("full"))->retry_delay_ms, std::nullopt);
  const absl::Status status = Exhausted("full", 12345);
  EXPECT_EQ(GetErrorDetail(status)->retry_delay_ms, 12345);
  EXPECT_EQ(GetErrorDetail(Annotate(status, "x"))->retry_delay_ms, 12345);
}

TEST(StatusTest, PlainStatusHasNoDetail) {
  EXPECT_FALSE(GetErrorDetail(absl::OkStatus()).has_value());
  EXPECT_FALSE(GetErrorDetail(absl::NotFoundError("x")).has_value());
}

TEST(StatusTest, AnnotateKeepsCodeAndDetail) {
  const absl::Status status =
      Annotate(UnknownModel("no such model"), "loading");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "loading: no such model");
  EXPECT_EQ(GetErrorDetail(status)->reason, kReasonUnknownModel);
  EXPECT_TRUE(Annotate(absl::OkStatus(), "loading").ok());
}

absl::StatusOr<int> Half(int value) {
  if (value % 2 != 0) return absl::InvalidArgumentError("odd");
  return value / 2;
}

absl::StatusOr<int> Quarter(int value) {
  TANDEM_ASSIGN_OR_RETURN(const int half, Half(value));
  TANDEM_ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}

absl::Status CheckEven(int value) {
  TANDEM_RETURN_IF_ERROR(Half(value).status());
  return absl::OkStatus();
}

TEST(StatusTest, MacrosReturnTheFirstError) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Quarter(6).status().message(), "odd");
  EXPECT_TRUE(CheckEven(2).ok());
  EXPECT_FALSE(CheckEven(3).ok());
}

}  // namespace
}  // namespace tandem
