#include "engine/grammar/automaton/work_budget.h"

#include <gtest/gtest.h>

namespace tandem {
namespace {

TEST(WorkBudgetTest, EndsWhenItIsSpent) {
  WorkBudget budget;
  EXPECT_TRUE(budget.Spend(kCompileStepsMax - 1).ok());
  EXPECT_TRUE(budget.Spend(1).ok());
  EXPECT_EQ(budget.Spend(1).code(), absl::StatusCode::kInvalidArgument);
  WorkBudget other;
  EXPECT_FALSE(other.Spend(kCompileStepsMax + 1).ok());
  EXPECT_FALSE(other.Spend(1).ok());
}

}  // namespace
}  // namespace tandem
