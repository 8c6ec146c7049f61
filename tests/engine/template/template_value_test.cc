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
  EXPECT_EQ(map.entries()[0].second.whole(), 3);
  EXPECT_EQ(map.Find("b")->whole(), 2);
  EXPECT_EQ(map.Find("c"), nullptr);
}

TEST(TemplateValueTest, ALargeMapFindsEachKey) {
  std::vector<std::pair<std::string, TemplateValue>> entries;
  for (int i = 0; i < 100; ++i) {
    entries.emplace_back("key" + std::to_string(i), TemplateValue::Integer(i));
  }
  const TemplateValue map = TemplateValue::Map(entries);
  for (const auto& [key, value] : entries) {
    ASSERT_EQ(map.Find(key)->whole(), value.whole());
  }
  EXPECT_EQ(map.Find("key100"), nullptr);
}

TEST(TemplateValueTest, DepthCountsListsAndMaps) {
  EXPECT_EQ(DepthOf(TemplateValue::Integer(1)), 0);
  const TemplateValue list = TemplateValue::List({TemplateValue::List({})});
  EXPECT_EQ(DepthOf(list), 2);
  EXPECT_EQ(DepthOf(TemplateValue::Map({{"a", list}})), 3);
}

TEST(TemplateValueTest, MemoryIsGivenBack) {
  size_t account = 0;
  {
    const TemplateValue text = NewValue(TemplateValue::TextNode{
        .text = {"abc", TextMark::kTemplate}, .charge = {&account, 3}});
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
