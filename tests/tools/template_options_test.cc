#include "tools/tandem/template_options.h"

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

using ::testing::HasSubstr;

TEST(TemplateOptionsTest, ValuesHaveTypes) {
  const std::vector<std::string> flags = {
      "b=true", "i=-5",       "d=0.5",          "t=a=b",
      "e=",     "q=\"true\"", "date=2026-11-28"};
  const auto options = ParseTemplateOptions(flags);
  ASSERT_TRUE(options.ok()) << options.status();
  ASSERT_EQ(options->size(), flags.size());
  EXPECT_EQ(std::get<bool>((*options)[0].value), true);
  EXPECT_EQ(std::get<int64_t>((*options)[1].value), -5);
  EXPECT_EQ(std::get<double>((*options)[2].value), 0.5);
  EXPECT_EQ(std::get<std::string>((*options)[3].value), "a=b");
  EXPECT_EQ(std::get<std::string>((*options)[4].value), "");
  EXPECT_EQ(std::get<std::string>((*options)[5].value), "true");
  EXPECT_EQ(std::get<std::string>((*options)[6].value), "2026-11-28");
  v1::TurnRequest turn;
  SetTemplateOptions(*options, &turn);
  EXPECT_EQ(turn.template_options_size(), static_cast<int>(flags.size()));
  EXPECT_TRUE(turn.template_options().at("b").bool_value());
  EXPECT_EQ(turn.template_options().at("i").int_value(), -5);
  EXPECT_EQ(turn.template_options().at("d").number_value(), 0.5);
  EXPECT_EQ(turn.template_options().at("t").text_value(), "a=b");
}

TEST(TemplateOptionsTest, ErrorsNameTheFlag) {
  const auto error = [](const std::vector<std::string>& flags) {
    return std::string(ParseTemplateOptions(flags).status().message());
  };
  EXPECT_THAT(error({"a"}), HasSubstr("--template-option a: write NAME=VALUE"));
  EXPECT_THAT(error({"=a"}), HasSubstr("write NAME=VALUE"));
  EXPECT_THAT(error({"messages=1"}),
              HasSubstr("--template-option messages: can not be set"));
  EXPECT_THAT(error({"date=now"}),
              HasSubstr("--template-option date: must be a day"));
  EXPECT_THAT(error({"a b=1"}),
              HasSubstr("--template-option: must have names"));
  EXPECT_THAT(error({"a=1", "a=2"}), HasSubstr("twice"));
  EXPECT_THAT(error({"a=\xff"}), HasSubstr("UTF-8"));
  EXPECT_THAT(error(std::vector<std::string>(33, "a=1")), HasSubstr("32"));
}

}  // namespace
}  // namespace tandem::cli
