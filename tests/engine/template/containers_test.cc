#include "engine/template/containers.h"

#include <gtest/gtest.h>

#include "tests/engine/template/template_test_util.h"

namespace tandem {
namespace {

TEST(ContainersTest, SlicesByCharacters) {
  EXPECT_EQ(Rendered("{{ 'aéb'[1:] }} {{ 'aéb'[::-1] }} {{ [1, 2, 3][-2:] }} "
                     "{{ 'abc'[5:] }}{{ 'aéb'[-2] }}"),
            "éb béa [2, 3] é");
  EXPECT_EQ(Rendered("{{ [1][::0] }}"),
            "line 1, column 7: the step of a slice is 0");
}

TEST(ContainersTest, MapsHaveKeysOfManyKinds) {
  RenderBudget budget({});
  MapBuilder builder(&budget);
  builder.Set(TemplateValue::Integer(1), TemplateValue());
  builder.Set(TemplateValue::Float(1), TemplateValue());
  builder.Set(TemplateValue::Text("1"), TemplateValue());
  ASSERT_TRUE(budget.ok());
  EXPECT_EQ(builder.Build().entries().size(), 2);
  builder.Set(TemplateValue::List({}), TemplateValue());
  EXPECT_FALSE(budget.ok());
}

}  // namespace
}  // namespace tandem
