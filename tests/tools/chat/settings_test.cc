#include "tools/tandem/chat/settings.h"

#include "engine/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class SettingsTest : public ::testing::Test {
 protected:
  absl::Status Set(absl::string_view name, absl::string_view value) {
    return SetOption(name, value, &settings_);
  }
  std::string ErrorOf(absl::string_view name, absl::string_view value) {
    const absl::Status status = Set(name, value);
    EXPECT_FALSE(status.ok()) << name << " " << value;
    return std::string(status.message());
  }
  std::string ValueOf(absl::string_view name) {
    for (const std::vector<std::string>& row : OptionTable(settings_)) {
      if (row[0] == name) return row[1];
    }
    return "no such row";
  }

  ChatSettings settings_;
};

TEST_F(SettingsTest, EveryOptionCanBeSetShownAndTakenBack) {
  const struct {
    const char* name;
    const char* value;
    const char* shown;
  } cases[] = {{"max-tokens", "9", "9"},
               {"min-tokens", "5", "5"},
               {"temperature", "0.5", "0.5"},
               {"top-p", "0.25", "0.25"},
               {"top-k", "3", "3"},
               {"min-p", "0.125", "0.125"},
               {"repetition-penalty", "1.5", "1.5"},
               {"presence-penalty", "-1", "-1"},
               {"frequency-penalty", "2", "2"},
               {"logit-bias", "5=-2", "5=-2"},
               {"seed", "18446744073709551615", "18446744073709551615"},
               {"stop-token", "7", "7"},
               {"stop", "a b", "\"a b\""},
               {"ignore-eos", "on", "true"},
               {"draft-length", "4", "4"},
               {"draft-length-max", "8", "8"},
               {"draft-sources", "lookup", "lookup"},
               {"shade", "background", "background"}};
  for (const auto& [name, value, shown] : cases) {
    const std::string before = ValueOf(name);
    EXPECT_TRUE(Set(name, value).ok()) << Set(name, value);
    EXPECT_EQ(ValueOf(name), shown);
    EXPECT_TRUE(Set(name, "default").ok()) << name;
    EXPECT_EQ(ValueOf(name), before) << name;
  }
  EXPECT_EQ(settings_.generation.ByteSizeLong(), 0u);
  // The title, and a row for each of them.
  EXPECT_EQ(OptionTable(settings_).size(), std::size(cases) + 1);
}

TEST_F(SettingsTest, NamesMayBeThoseOfFlagsAndFields) {
  EXPECT_TRUE(Set("--top-k", "5").ok());
  EXPECT_TRUE(Set("top_p", "0.5").ok());
  EXPECT_EQ(settings_.generation.top_k(), 5);
  EXPECT_EQ(settings_.generation.top_p(), 0.5f);
}

TEST_F(SettingsTest, RepeatedOptionsGetOneMore) {
  EXPECT_TRUE(Set("stop", "one").ok());
  EXPECT_TRUE(Set("stop", "two").ok());
  EXPECT_THAT(settings_.generation.stop_strings(), ElementsAre("one", "two"));
}

TEST_F(SettingsTest, ErrorsNameTheRangeAndChangeNothing) {
  EXPECT_TRUE(Set("temperature", "0.5").ok());
  EXPECT_THAT(ErrorOf("temperature", "200"), StartsWith("temperature: "));
  EXPECT_THAT(ErrorOf("temperature", "200"), HasSubstr("100"));
  EXPECT_THAT(ErrorOf("temperature", "warm"), HasSubstr("\"warm\""));
  EXPECT_THAT(ErrorOf("top-p", "0"), StartsWith("top-p: "));
  EXPECT_THAT(ErrorOf("draft-sources", "x"), HasSubstr("lookup"));
  EXPECT_THAT(ErrorOf("ignore-eos", "maybe"), HasSubstr("neither on nor off"));
  EXPECT_THAT(ErrorOf("shade", "red"), HasSubstr("background"));
  EXPECT_THAT(ErrorOf("logit-bias", "5"), HasSubstr("ID=BIAS"));
  EXPECT_EQ(settings_.generation.temperature(), 0.5f);
}

TEST_F(SettingsTest, UnknownNamesGetTheNearestOne) {
  EXPECT_THAT(ErrorOf("temprature", "1"),
              HasSubstr("did you mean temperature?"));
  EXPECT_THAT(ErrorOf("shades", "off"), HasSubstr("did you mean shade?"));
  EXPECT_THAT(ErrorOf("xyzzy", "1"), HasSubstr("/set lists them"));
  // It would go nowhere.
  EXPECT_THAT(ErrorOf("logprobs", "1"), HasSubstr("there is no option"));
}

TEST_F(SettingsTest, TheTableHasDefaultsInItsLastColumn) {
  EXPECT_THAT(OptionTable(settings_)[0],
              ElementsAre("option", "value", "what"));
  EXPECT_THAT(OptionTable(settings_),
              Contains(ElementsAre("temperature", "default",
                                   HasSubstr("default 0.7"))));
}

}  // namespace
}  // namespace tandem::cli
