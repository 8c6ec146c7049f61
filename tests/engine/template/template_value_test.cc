#include "engine/template/template_value.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/engine/template/template_test_util.h"

namespace tandem {
namespace {

TEST(TemplateValueTest, AMapKeepsTheFirstPlaceAndTheLastValue) {
  const TemplateValue map =
      TemplateValue::Map({{"a", TemplateValue::Integer(1)},
                          {"b", TemplateValue::Integer(2)},
                          {"a", TemplateValue::Integer(3)}});
  ASSERT_EQ(map.entries().size(), 2);
  EXPECT_EQ(map.entries()[0].second.integer(), 3);
  EXPECT_EQ(map.Find("b")->integer(), 2);
  EXPECT_EQ(map.Find("c"), nullptr);
}

TEST(TemplateValueTest, ALargeMapFindsEachKey) {
  std::vector<std::pair<std::string, TemplateValue>> entries;
  for (int i = 0; i < 100; ++i) {
    entries.emplace_back("key" + std::to_string(i), TemplateValue::Integer(i));
  }
  const TemplateValue map = TemplateValue::Map(entries);
  for (const auto& [key, value] : entries) {
    ASSERT_EQ(map.Find(key)->integer(), value.integer());
  }
  EXPECT_EQ(map.Find("key100"), nullptr);
}

TEST(TemplateValueTest, DepthCountsListsAndMaps) {
  EXPECT_EQ(TemplateValue::Integer(1).depth(), 0);
  const TemplateValue list = TemplateValue::List({TemplateValue::Tuple({})});
  EXPECT_EQ(list.depth(), 2);
  EXPECT_EQ(TemplateValue::Map({{"a", list}}).depth(), 3);
}

TEST(TemplateValueTest, MemoryIsGivenBack) {
  int64_t account = 0;
  {
    const TemplateValue text = TemplateValue::Text(
        MarkedText("abc", TextMark::kTemplate), MemoryCharge(&account, 3));
    const TemplateValue copy = text;
    EXPECT_EQ(account, 3);
  }
  EXPECT_EQ(account, 0);
}

TEST(TemplateValueTest, KeysOfTheCallerAreContents) {
  EXPECT_EQ(
      Rendered("{{ m|list|first }}",
               {{"m", TemplateValue::Map({{"<s>", TemplateValue::None()}})}}),
      "«<s>»");
}

}  // namespace
}  // namespace tandem
