#include "services/common/status_conversion.h"

#include <gtest/gtest.h>

#include <string>

#include "engine/base/error_reason.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace tandem {
namespace {

google::rpc::Status Details(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

template <typename Message>
std::optional<Message> Find(const google::rpc::Status& details) {
  for (const google::protobuf::Any& any : details.details()) {
    Message message;
    if (any.UnpackTo(&message)) return message;
  }
  return std::nullopt;
}

TEST(StatusConversionTest, OkStaysOk) {
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_TRUE(FromGrpcStatus(grpc::Status::OK).ok());
}

TEST(StatusConversionTest, DetailSurvivesTheRoundTrip) {
  const absl::Status status = MakeError(
      absl::StatusCode::kInvalidArgument,
      {.reason = kReasonInvalidOptions,
       .violations = {{.field = "temperature", .description = "is -1"},
                      {.field = "top_p", .description = "is 2"}}},
      "two options are wrong");
  const grpc::Status wire = ToGrpcStatus(status);
  EXPECT_EQ(wire.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(wire.error_message(), "two options are wrong");
  const auto info = Find<google::rpc::ErrorInfo>(Details(wire));
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->reason(), kReasonInvalidOptions);
  EXPECT_EQ(info->domain(), "tandem");
  EXPECT_FALSE(Find<google::rpc::RetryInfo>(Details(wire)).has_value());

  const absl::Status back = FromGrpcStatus(wire);
  EXPECT_EQ(back.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(back.message(), "two options are wrong");
  const std::optional<ErrorDetail> detail = GetErrorDetail(back);
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->reason, kReasonInvalidOptions);
  ASSERT_EQ(detail->violations.size(), 2u);
  EXPECT_EQ(detail->violations[1].field, "top_p");
  EXPECT_EQ(detail->violations[1].description, "is 2");
}

TEST(StatusConversionTest, AQuotaThatIsUsedUpIsNoWrongField) {
  const absl::Status status =
      MakeError(absl::StatusCode::kResourceExhausted,
                {.reason = kReasonExhausted,
                 .violations = {{.field = "tenant:a",
                                 .description = "at most 2 turns at once"}},
                 .retry_delay_ms = 700},
                "over quota");
  const grpc::Status wire = ToGrpcStatus(status);
  EXPECT_FALSE(Find<google::rpc::BadRequest>(Details(wire)).has_value());
  const auto quota = Find<google::rpc::QuotaFailure>(Details(wire));
  ASSERT_TRUE(quota.has_value());
  ASSERT_EQ(quota->violations_size(), 1);
  EXPECT_EQ(quota->violations(0).subject(), "tenant:a");
  EXPECT_EQ(quota->violations(0).description(), "at most 2 turns at once");
  EXPECT_EQ(FromGrpcStatus(wire), status);
}

TEST(StatusConversionTest, EveryCodeSurvives) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "text");
    const grpc::Status wire = ToGrpcStatus(status);
    EXPECT_EQ(static_cast<int>(wire.error_code()), code);
    EXPECT_EQ(Details(wire).code(), code);
    EXPECT_TRUE(Find<google::rpc::ErrorInfo>(Details(wire)).has_value());
    const absl::Status back = FromGrpcStatus(wire);
    EXPECT_EQ(back.code(), status.code());
    EXPECT_FALSE(GetErrorDetail(back).has_value());
  }
}

TEST(StatusConversionTest, RetryInfoWhereTryingAgainHelps) {
  for (const absl::Status& status :
       {absl::UnavailableError("x"), absl::ResourceExhaustedError("x")}) {
    const auto retry =
        Find<google::rpc::RetryInfo>(Details(ToGrpcStatus(status)));
    ASSERT_TRUE(retry.has_value());
    EXPECT_EQ(retry->retry_delay().seconds() * 1000 +
                  retry->retry_delay().nanos() / 1000000,
              kRetryDelayMs);
  }
}

TEST(StatusConversionTest, AKnownDelayIsTold) {
  const auto told_ms = [](int64_t delay_ms) {
    const grpc::Status wire =
        ToGrpcStatus(MakeError(absl::StatusCode::kResourceExhausted,
                               {.reason = kReasonExhausted,
                                .violations = {},
                                .retry_delay_ms = delay_ms},
                               "full"));
    const auto retry = Find<google::rpc::RetryInfo>(Details(wire));
    EXPECT_TRUE(retry.has_value());
    const int64_t told = retry->retry_delay().seconds() * 1000 +
                         retry->retry_delay().nanos() / 1000000;
    EXPECT_EQ(GetErrorDetail(FromGrpcStatus(wire))->retry_delay_ms, told);
    return told;
  };
  EXPECT_EQ(told_ms(0), 0);
  EXPECT_EQ(told_ms(2345), 2345);
  EXPECT_EQ(told_ms(-5), 0);
  EXPECT_EQ(told_ms(kRetryDelayMsMax * 2), kRetryDelayMsMax);
}

TEST(StatusConversionTest, InternalsAreNotTold) {
  const absl::Status secret = absl::InternalError("/secret/path 0x7fff1234");
  for (const absl::Status& status : {secret, absl::UnknownError("/secret/path"),
                                     absl::DataLossError("/secret/path")}) {
    const grpc::Status wire = ToGrpcStatus(status);
    EXPECT_EQ(wire.error_message().find("secret"), std::string::npos);
    EXPECT_EQ(wire.error_details().find("secret"), std::string::npos);
  }
  // With a reason the message was written to be shown.
  EXPECT_EQ(ToGrpcStatus(MakeError(absl::StatusCode::kInternal,
                                   {.reason = kReasonNumericCorruption,
                                    .violations = {}},
                                   "a logit is NaN"))
                .error_message(),
            "a logit is NaN");
}

TEST(StatusConversionTest, TextIsBoundedCleanUtf8) {
  std::string text = "line\none\x7f \xff\xfe ";
  for (int i = 0; i < 2000; ++i) text += "\xe2\x82\xac";  // euro sign
  ErrorDetail detail{.reason = kReasonInvalidOptions, .violations = {}};
  for (int i = 0; i < 100; ++i) {
    detail.violations.push_back({.field = text, .description = text});
  }
  const grpc::Status wire =
      ToGrpcStatus(MakeError(absl::StatusCode::kInvalidArgument, detail, text));
  EXPECT_LE(wire.error_message().size(), kStatusMessageBytesMax);
  EXPECT_EQ(wire.error_message().substr(0, 15), "line one  ?? \xe2\x82");
  EXPECT_EQ(wire.error_message().substr(wire.error_message().size() - 6),
            "\xe2\x82\xac...");
  // In base64, with the percent-encoded message beside it.
  EXPECT_LE(
      wire.error_details().size() * 4 / 3 + wire.error_message().size() * 3,
      8u * 1024u);
  const auto bad = Find<google::rpc::BadRequest>(Details(wire));
  ASSERT_TRUE(bad.has_value());
  EXPECT_EQ(bad->field_violations_size(), kStatusViolationsMax);
}

TEST(StatusConversionTest, ForeignStatusesAreTaken) {
  // Garbage details, a foreign domain, a code that is none.
  const absl::Status garbage = FromGrpcStatus(
      grpc::Status(grpc::StatusCode::ABORTED, "text", "\xff\xff\xff"));
  EXPECT_EQ(garbage.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(garbage.message(), "text");

  google::rpc::Status foreign;
  google::rpc::ErrorInfo info;
  info.set_reason("SOMETHING");
  info.set_domain("example.com");
  foreign.add_details()->PackFrom(info);
  EXPECT_FALSE(GetErrorDetail(FromGrpcStatus(grpc::Status(
                                  grpc::StatusCode::NOT_FOUND, "text",
                                  foreign.SerializeAsString())))
                   .has_value());

  EXPECT_EQ(
      FromGrpcStatus(grpc::Status(static_cast<grpc::StatusCode>(77), "text"))
          .code(),
      absl::StatusCode::kUnknown);
}

}  // namespace
}  // namespace tandem
