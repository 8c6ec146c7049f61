#include "engine/template/value_text.h"

#include <gtest/gtest.h>

#include "tests/engine/template/template_test_util.h"

namespace tandem {
namespace {

TEST(ValueTextTest, WritesFloatsAsPython) {
  EXPECT_EQ(FloatText(1), "1.0");
  EXPECT_EQ(FloatText(-0.0), "-0.0");
  EXPECT_EQ(FloatText(0.1), "0.1");
  EXPECT_EQ(FloatText(1e16), "1e+16");
  EXPECT_EQ(FloatText(123456789012345680), "1.2345678901234568e+17");
  EXPECT_EQ(FloatText(0.00001), "1e-05");
  EXPECT_EQ(FloatText(0.0001), "0.0001");
  EXPECT_EQ(FloatText(1234.5), "1234.5");
}

TEST(ValueTextTest, WritesReprAndJson) {
  EXPECT_EQ(Rendered("{{ [1, 'it\\'s', none, (1,), {'a': true}] }}"),
            "[1, \"it's\", None, (1,), {'a': True}]");
  EXPECT_EQ(Rendered("{{ {'é': [1, {}], 'b': '\\n'}|tojson(indent=1) }}"),
            "{\n \"é\": [\n  1,\n  {}\n ],\n \"b\": \"\\n\"\n}");
}

}  // namespace
}  // namespace tandem
