#include "services/client/retry_schedule.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/base/status.h"
#include "services/common/status_conversion.h"

namespace tandem::client {
namespace {

using grpc::Status;
using grpc::StatusCode;

TEST(RetryScheduleTest, WhatTheTransportEndsIsALostConnection) {
  for (const StatusCode code : {StatusCode::UNAVAILABLE, StatusCode::CANCELLED,
                                StatusCode::INTERNAL, StatusCode::UNKNOWN}) {
    EXPECT_TRUE(IsLostConnection(Status(code, "reset"))) << code;
    EXPECT_FALSE(WaitsForResume(Status(code, "reset"))) << code;
    // The same from the service is an answer, with or without a reason.
    EXPECT_FALSE(IsLostConnection(
        ToGrpcStatus(absl::Status(static_cast<absl::StatusCode>(code), "no"))))
        << code;
  }
  for (const StatusCode code :
       {StatusCode::OK, StatusCode::DEADLINE_EXCEEDED,
        StatusCode::RESOURCE_EXHAUSTED, StatusCode::UNIMPLEMENTED,
        StatusCode::UNAUTHENTICATED}) {
    EXPECT_FALSE(IsLostConnection(Status(code, ""))) << code;
  }
}

TEST(RetryScheduleTest, ATurnWaitsWhereNoWorkerOrPlaceIsLeft) {
  for (const absl::Status& error :
       {NoWorker("none"), Draining("going"), absl::UnavailableError("some"),
        Exhausted("no place")}) {
    EXPECT_TRUE(WaitsForResume(ToGrpcStatus(error))) << error;
  }
  for (const absl::Status& error :
       {WrongState("other"), absl::NotFoundError("gone"),
        absl::ResourceExhaustedError("too large"),
        absl::InternalError("bug")}) {
    EXPECT_FALSE(WaitsForResume(ToGrpcStatus(error))) << error;
  }
  // gRPC's own: a message that is too large stays so.
  EXPECT_FALSE(WaitsForResume(Status(StatusCode::RESOURCE_EXHAUSTED, "")));
}

TEST(RetryScheduleTest, AStartWaitsForTheStoreAlone) {
  EXPECT_TRUE(WaitsForStore(
      ToGrpcStatus(MakeError(absl::StatusCode::kUnavailable,
                             {.reason = kReasonStoreUnavailable}, "away"))));
  for (const absl::Status& error :
       {NoWorker("none"), Draining("going"), Exhausted("no place"),
        absl::UnavailableError("some")}) {
    EXPECT_FALSE(WaitsForStore(ToGrpcStatus(error))) << error;
  }
  EXPECT_FALSE(WaitsForStore(Status(StatusCode::UNAVAILABLE, "")));
}

TEST(RetryScheduleTest, WaitsDoubleUpToTheBound) {
  RetrySchedule schedule(absl::Hours(1));
  absl::Time now = absl::FromUnixSeconds(1000);
  int base_ms = kReconnectBackoffMinMs;
  for (int attempt = 1; attempt <= 8; ++attempt) {
    const auto wait = schedule.NextWait(now, absl::ZeroDuration());
    ASSERT_TRUE(wait.has_value());
    EXPECT_GE(*wait, absl::Milliseconds(base_ms) / 2);
    EXPECT_LE(*wait, absl::Milliseconds(base_ms) * 1.5);
    EXPECT_EQ(schedule.attempts(), attempt);
    base_ms = std::min(2 * base_ms, kReconnectBackoffMaxMs);
    now += *wait;
  }
}

TEST(RetryScheduleTest, TheBudgetCountsFromTheLoss) {
  RetrySchedule schedule(absl::Seconds(10));
  const absl::Time lost = absl::FromUnixSeconds(1000);
  EXPECT_TRUE(schedule.NextWait(lost, absl::ZeroDuration()).has_value());
  EXPECT_TRUE(schedule.NextWait(lost + absl::Seconds(9), absl::ZeroDuration())
                  .has_value());
  EXPECT_FALSE(schedule.NextWait(lost + absl::Seconds(10), absl::ZeroDuration())
                   .has_value());
  EXPECT_EQ(schedule.attempts(), 2);
  schedule.Reset();
  EXPECT_EQ(schedule.attempts(), 0);
  const auto first =
      schedule.NextWait(lost + absl::Seconds(20), absl::ZeroDuration());
  ASSERT_TRUE(first.has_value());
  EXPECT_LE(*first, absl::Milliseconds(kReconnectBackoffMinMs) * 1.5);
}

TEST(RetryScheduleTest, NoBudgetNoAttempt) {
  RetrySchedule schedule(absl::ZeroDuration());
  EXPECT_FALSE(schedule.NextWait(absl::FromUnixSeconds(1), absl::ZeroDuration())
                   .has_value());
}

TEST(RetryScheduleTest, TheServiceMayAskForALongerWait) {
  RetrySchedule schedule(absl::Seconds(10));
  const absl::Time now = absl::FromUnixSeconds(1);
  EXPECT_EQ(schedule.NextWait(now, absl::Seconds(5)), absl::Seconds(5));
  EXPECT_FALSE(schedule.NextWait(now, absl::Seconds(11)).has_value());
}

}  // namespace
}  // namespace tandem::client
