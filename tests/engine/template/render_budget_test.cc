#include "engine/template/render_budget.h"

#include <gtest/gtest.h>

#include <string>

namespace tandem {
namespace {

TEST(RenderBudgetTest, StepsEnd) {
  RenderBudget budget({.steps_max = 3});
  budget.Step(3);
  EXPECT_TRUE(budget.Check().ok());
  budget.Step();
  EXPECT_FALSE(budget.Check().ok());
  EXPECT_FALSE(budget.NewText("x").ok());
}

TEST(RenderBudgetTest, MemoryIsThatOfValuesThatLive) {
  RenderBudget budget({.memory_bytes_max = 1000});
  for (int i = 0; i < 10; ++i) {
    EXPECT_TRUE(budget.NewText(std::string(500, 'x')).ok());
  }
  const auto kept = budget.NewText(std::string(500, 'x'));
  EXPECT_FALSE(budget.NewText(std::string(500, 'x')).ok());
}

TEST(RenderBudgetTest, ValuesNestToALimit) {
  RenderBudget budget({});
  TemplateValue list = TemplateValue::List({});
  for (int i = 1; i < kValueDepthMax; ++i) {
    list = budget.NewList({list}).value();
  }
  EXPECT_FALSE(budget.NewList({list}).ok());
}

TEST(RenderBudgetTest, NamesTheNearest) {
  EXPECT_EQ(UnknownNameMessage("filter", "uper", {"lower", "upper"}),
            "there is no filter 'uper'; the nearest is 'upper'");
  EXPECT_EQ(UnknownNameMessage("test", "zzz", {"lower"}),
            "there is no test 'zzz'");
}

}  // namespace
}  // namespace tandem
