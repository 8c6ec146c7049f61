#include "engine/template/chat/template_options.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/engine/template/chat/expect_error.h"

namespace tandem {
namespace {

using Options = std::vector<TemplateOption>;

TEST(TemplateOptionsTest, ChecksOptions) {
  const auto check = [](const std::string& name, const auto& value) {
    return CheckTemplateOptions(Options{{name, value}});
  };
  EXPECT_TRUE(check("enable_thinking", false).ok());
  EXPECT_TRUE(check("_a1", std::string(4000, 'x')).ok());
  for (const std::string name :
       {"messages", "tools", "add_generation_prompt", "bos_token", "pad_token",
        "raise_exception", "strftime_now", "range", "namespace", "loop", "True",
        "not"}) {
    ExpectInvalid(check(name, true), "template_options." + name);
  }
  for (const std::string& name :
       {std::string(), std::string("a b"), std::string("1a"),
        std::string("a\n"), std::string("\u00e9"), std::string(65, 'a')}) {
    ExpectInvalid(check(name, true), "template_options");
  }
  ExpectInvalid(check("a", std::numeric_limits<double>::infinity()),
                "template_options.a");
  ExpectInvalid(check("a", std::string(4096, 'x')), "template_options", "4096");
  for (const std::string date :
       {"", "2026-11-31", "2026-1-1", "20261128", "2026-11-28 ", "+026-11-28",
        "0000-01-01", "2023-02-29"}) {
    ExpectInvalid(check("date", date), "template_options.date");
  }
  ExpectInvalid(check("date", int64_t{20261128}), "template_options.date");
  ExpectInvalid(check("template", true), "template_options.template");
  EXPECT_TRUE(check("date", std::string("2024-02-29")).ok());
  Options many;
  for (size_t i = 0; i < kTemplateOptionsMax; ++i) {
    many.push_back({absl::StrCat("o", i), true});
  }
  EXPECT_TRUE(CheckTemplateOptions(many).ok());
  many.push_back({"one_more", true});
  ExpectInvalid(CheckTemplateOptions(many), "template_options", "32");
  ExpectInvalid(CheckTemplateOptions(Options{{"a", true}, {"a", false}}),
                "template_options.a", "twice");
}

TEST(TemplateOptionsTest, GivesTheTextOfAnOption) {
  const Options options = {{"a", std::string("x")}, {"b", true}};
  EXPECT_EQ(*TextOption(options, "a"), "x");
  EXPECT_EQ(*TextOption(options, "c"), "");
  ExpectInvalid(TextOption(options, "b").status(), "template_options.b",
                "must be a text");
}

TEST(TemplateOptionsTest, ReadsAndWritesDays) {
  EXPECT_EQ(ParseDate("2024-02-29"), absl::CivilDay(2024, 2, 29));
  EXPECT_EQ(ParseDate("2023-02-29"), std::nullopt);
  EXPECT_EQ(UtcDate(absl::FromUnixSeconds(951782399)), "2000-02-28");
  EXPECT_EQ(UtcDate(absl::FromUnixSeconds(951782400)), "2000-02-29");
}

}  // namespace
}  // namespace tandem
