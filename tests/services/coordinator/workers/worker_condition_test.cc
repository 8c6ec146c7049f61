#include "services/coordinator/workers/worker_condition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/services/coordinator/fake_model.h"
#include "tests/services/coordinator/fake_workers.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(ProblemAfterTest, SilenceIsNoRefusal) {
  for (const absl::Status& error :
       {absl::UnavailableError("e"), absl::DeadlineExceededError("e"),
        absl::CancelledError("e")}) {
    EXPECT_EQ(ProblemAfter(error, "nobody").state, WorkerState::kConnecting);
  }
  for (const absl::Status& error :
       {absl::FailedPreconditionError("e"), absl::UnimplementedError("e"),
        absl::PermissionDeniedError("e"), absl::InvalidArgumentError("e")}) {
    EXPECT_EQ(ProblemAfter(error, "no").state, WorkerState::kUnusable);
  }
}

// Workers say what they like; the reason goes into a message and on a terminal.
TEST(ProblemAfterTest, AReasonIsOneShortLineOfUtf8) {
  const absl::Status error = absl::InternalError("e");
  EXPECT_EQ(ProblemAfter(error, "caf\u00e9").reason, "caf\u00e9");
  EXPECT_EQ(ProblemAfter(error, "a\nb\x1b[2J\xff").reason,
            "a\\x0ab\\x1b[2J\\xff");
  EXPECT_LE(ProblemAfter(error, std::string(10000, '\n')).reason.size(),
            4 * kReasonBytesMax);
}

TEST(ConditionOfTest, SaysWhyAWorkerDoesNotServe) {
  const WorkerProblem problem{.state = WorkerState::kUnusable,
                              .reason = "it has no model"};
  WorkerInfo worker = FakeTarget("t");
  WorkerCondition condition = ConditionOf(worker, problem);
  EXPECT_EQ(condition.worker.address, "t");
  EXPECT_EQ(condition.state, WorkerState::kServing);
  EXPECT_THAT(condition.reason, IsEmpty());
  worker.draining = true;
  condition = ConditionOf(worker, problem);
  EXPECT_EQ(condition.state, WorkerState::kDraining);
  EXPECT_THAT(condition.reason, HasSubstr("drains"));
  worker.usable = false;
  condition = ConditionOf(worker, problem);
  EXPECT_EQ(condition.state, WorkerState::kUnusable);
  EXPECT_EQ(condition.reason, "it has no model");
}

// Only drafters of the same vocabulary fit here.
absl::Status CheckFake(const WorkerInfo& draft, const WorkerInfo& target) {
  if (draft.vocabulary_fingerprint == target.vocabulary_fingerprint) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat("token 7 of ", draft.vocabulary_fingerprint, " differs"));
}

class MarkUnfitDraftersTest : public ::testing::Test {
 protected:
  void AddTarget(const std::string& vocabulary, bool usable = true) {
    Add(FakeTarget(absl::StrCat("t", conditions_.size())), vocabulary, usable);
  }
  void AddDrafter(const std::string& vocabulary, bool usable = true) {
    Add(FakeDrafter(absl::StrCat("d", conditions_.size())), vocabulary, usable);
  }
  void Mark() { MarkUnfitDrafters(CheckFake, &conditions_); }

  std::vector<WorkerCondition> conditions_;

 private:
  void Add(WorkerInfo worker, const std::string& vocabulary, bool usable) {
    worker.vocabulary_fingerprint = vocabulary;
    worker.usable = usable;
    worker.tokenizer = FakeTokenizer();
    conditions_.push_back(ConditionOf(worker, WorkerProblem()));
  }
};

TEST_F(MarkUnfitDraftersTest, NamesTheTargetThatADrafterDoesNotFit) {
  AddTarget("a");
  AddTarget("b");
  AddDrafter("a");
  AddDrafter("b");
  AddDrafter("c");
  Mark();
  for (const size_t fits : {size_t{2}, size_t{3}}) {
    EXPECT_EQ(conditions_[fits].state, WorkerState::kServing);
    EXPECT_THAT(conditions_[fits].reason, IsEmpty());
  }
  EXPECT_EQ(conditions_[4].state, WorkerState::kUnusable);
  EXPECT_EQ(conditions_[4].reason,
            "its vocabulary does not fit that of target worker t1 (model "
            "model): token 7 of c differs");
}

TEST_F(MarkUnfitDraftersTest, ATargetThatIsGoneCountsAndNoneIsNoFault) {
  AddDrafter("a");
  Mark();
  EXPECT_EQ(conditions_[0].state, WorkerState::kServing);
  AddTarget("b");
  AddTarget("a", /*usable=*/false);
  Mark();
  EXPECT_EQ(conditions_[0].state, WorkerState::kServing);
}

TEST_F(MarkUnfitDraftersTest, ADrafterThatDoesNotServeKeepsItsReason) {
  AddTarget("a");
  AddDrafter("b", /*usable=*/false);
  Mark();
  EXPECT_EQ(conditions_[1].state, WorkerState::kConnecting);
  EXPECT_EQ(conditions_[1].reason, "not connected yet");
}

}  // namespace
}  // namespace tandem
