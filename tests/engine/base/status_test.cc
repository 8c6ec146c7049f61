#include "engine/base/status.h"

#include <gtest/gtest.h>

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

TEST(StatusTest, TheRetryDelayIsKept) {
  ErrorDetail detail{.reason = kReasonExhausted, .violations = {}};
  EXPECT_EQ(GetErrorDetail(
                MakeError(absl::StatusCode::kResourceExhausted, detail, "full"))
                ->retry_delay_ms,
            std::nullopt);
  detail.retry_delay_ms = 12345;
  const absl::Status status =
      MakeError(absl::StatusCode::kResourceExhausted, detail, "full");
  EXPECT_EQ(GetErrorDetail(status)->retry_delay_ms, 12345);
  EXPECT_EQ(GetErrorDetail(Annotate(status, "x"))->retry_delay_ms, 12345);
}

TEST(StatusTest, PlainStatusHasNoDetail) {
  EXPECT_FALSE(GetErrorDetail(absl::OkStatus()).has_value());
  EXPECT_FALSE(GetErrorDetail(absl::NotFoundError("x")).has_value());
}

TEST(StatusTest, AnnotateKeepsCodeAndDetail) {
  const absl::Status status =
      Annotate(MakeError(absl::StatusCode::kNotFound,
                         {.reason = kReasonUnknownModel, .violations = {}},
                         "no such model"),
               "loading");
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
