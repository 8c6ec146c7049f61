#include "engine/template/render_budget.h"

#include <gtest/gtest.h>

#include <string>

namespace tandem {
namespace {

TEST(RenderBudgetTest, StepsEnd) {
  RenderBudget budget({.steps_max = 3});
  budget.Step(3);
  EXPECT_TRUE(budget.Check());
  budget.Step();
  EXPECT_FALSE(budget.Check());
  EXPECT_TRUE(budget.NewText("x").is_undefined());
}

TEST(RenderBudgetTest, TheFirstErrorStays) {
  RenderBudget budget({});
  budget.AnnotateError("before");
  EXPECT_TRUE(budget.ok());
  budget.Fail("one");
  budget.AnnotateError("in ", 1);
  const bool value = budget.Fail("two");
  EXPECT_FALSE(value);
  EXPECT_EQ(budget.error().message(), "in 1: one");
  EXPECT_FALSE(budget.Check());
}

TEST(RenderBudgetTest, MemoryIsThatOfValuesThatLive) {
  RenderBudget budget({.memory_bytes_max = 1000});
  for (int i = 0; i < 10; ++i) {
    budget.NewText(std::string(500, 'x'));
  }
  EXPECT_TRUE(budget.ok());
  const auto kept = budget.NewText(std::string(500, 'x'));
  EXPECT_TRUE(budget.NewText(std::string(500, 'x')).is_undefined());
  EXPECT_FALSE(budget.ok());
}

TEST(RenderBudgetTest, ValuesNestToALimit) {
  RenderBudget budget({});
  TemplateValue list = TemplateValue::List({});
  for (int i = 1; i < kValueDepthMax; ++i) {
    list = budget.NewList({list});
  }
  EXPECT_TRUE(budget.ok());
  budget.NewList({list});
  EXPECT_FALSE(budget.ok());
}

TEST(RenderBudgetTest, NamesTheNearest) {
  EXPECT_EQ(UnknownNameMessage("filter", "uper", {"lower", "upper"}),
            "there is no filter 'uper'; the nearest is 'upper'");
  EXPECT_EQ(UnknownNameMessage("test", "zzz", {"lower"}),
            "there is no test 'zzz'");
}

}  // namespace
}  // namespace tandem
