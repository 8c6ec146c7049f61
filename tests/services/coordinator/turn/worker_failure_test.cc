#include "services/coordinator/turn/worker_failure.h"

#include <gtest/gtest.h>

#include "engine/base/error_reason.h"
#include "engine/base/status.h"

namespace tandem {
namespace {

absl::Status With(absl::StatusCode code, const char* reason) {
  return MakeError(code, {.reason = reason}, "message");
}

TEST(WorkerFailureTest, TheRequestsAndTheModelsFaultsAreFatal) {
  EXPECT_TRUE(IsFatal(absl::InvalidArgumentError("an option")));
  EXPECT_TRUE(
      IsFatal(With(absl::StatusCode::kInternal, kReasonNumericCorruption)));
  EXPECT_TRUE(
      IsFatal(With(absl::StatusCode::kFailedPrecondition, kReasonNoToken)));
  EXPECT_FALSE(IsFatal(absl::UnavailableError("gone")));
  EXPECT_FALSE(IsFatal(absl::InternalError("a pass failed")));
  EXPECT_FALSE(IsFatal(Exhausted("no KV")));
}

TEST(WorkerFailureTest, WhoSaysWhyIsNotDead) {
  EXPECT_TRUE(IsDeath(absl::UnavailableError("connection reset")));
  EXPECT_FALSE(IsDeath(Draining("the worker shuts down")));
  EXPECT_FALSE(IsDeath(NoWorker("not reached")));
  EXPECT_FALSE(IsDeath(absl::InternalError("a pass failed")));
}

}  // namespace
}  // namespace tandem
