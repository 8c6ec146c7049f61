#include "tools/tandem/base/generation_flags.h"

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "engine/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The options that the arguments ask for; the parser's error, or that of
// CheckGenerationOptions.
absl::StatusOr<v1::GenerationOptions> Parse(
    std::vector<std::string> arguments) {
  CLI::App app("A test", "test");
  v1::GenerationOptions options;
  AddGenerationFlags(&app, &options);
  AddChoiceFlag(&app, &options);
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    return absl::UnknownError(error.what());
  }
  TANDEM_RETURN_IF_ERROR(CheckGenerationOptions(options));
  return options;
}

std::string ErrorOf(const std::vector<std::string>& arguments) {
  return std::string(Parse(arguments).status().message());
}

TEST(GenerationFlagsTest, NothingGivenNothingSet) {
  const auto options = Parse({});
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->ByteSizeLong(), 0u);
}

TEST(GenerationFlagsTest, EveryFieldIsCarriedOver) {
  const auto options = Parse({"--max-tokens",
                              "1",
                              "--temperature",
                              "0",
                              "--top-p",
                              "0.5",
                              "--top-k",
                              "0",
                              "--min-p",
                              "1",
                              "--repetition-penalty",
                              "2",
                              "--presence-penalty",
                              "-10",
                              "--frequency-penalty",
                              "10",
                              "--logit-bias",
                              "3=-inf",
                              "--logit-bias",
                              "4=-1e1",
                              "--seed",
                              "0",
                              "--stop-token",
                              "5",
                              "--stop-token",
                              "6",
                              "--stop",
                              "=",
                              "--ignore-eos",
                              "--logprobs",
                              "0",
                              "--draft-length",
                              "16",
                              "--draft-length-max",
                              "7",
                              "--draft-sources",
                              "lookup"});
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->max_tokens(), 1);
  EXPECT_TRUE(options->has_temperature());
  EXPECT_EQ(options->top_p(), 0.5f);
  EXPECT_TRUE(options->has_top_k());
  EXPECT_EQ(options->min_p(), 1.0f);
  EXPECT_EQ(options->repetition_penalty(), 2.0f);
  EXPECT_EQ(options->presence_penalty(), -10.0f);
  EXPECT_EQ(options->frequency_penalty(), 10.0f);
  EXPECT_EQ(options->logit_bias(0).token_id(), 3);
  EXPECT_EQ(options->logit_bias(0).bias(),
            -std::numeric_limits<float>::infinity());
  EXPECT_EQ(options->logit_bias(1).bias(), -10.0f);
  EXPECT_TRUE(options->has_seed());
  EXPECT_THAT(options->stop_token_ids(), ElementsAre(5, 6));
  EXPECT_THAT(options->stop_strings(), ElementsAre("="));
  EXPECT_TRUE(options->ignore_eos());
  EXPECT_TRUE(options->has_logprobs());
  EXPECT_EQ(options->draft_length(), 16);
  EXPECT_EQ(options->draft_length_max(), 7);
  EXPECT_EQ(options->draft_sources(), v1::DRAFT_SOURCES_LOOKUP);
}

TEST(GenerationFlagsTest, TheLastOfAScalarHolds) {
  EXPECT_EQ(Parse({"--top-k", "3", "--top-k", "4"})->top_k(), 4);
  EXPECT_FALSE(Parse({"--draft-length", "3", "--draft-length", "auto"})
                   ->has_draft_length());
}

TEST(GenerationFlagsTest, OutOfRangeNamesEachFlag) {
  v1::GenerationOptions options;
  options.set_top_p(0);
  options.add_stop_token_ids(1);
  options.add_stop_token_ids(-1);
  options.add_stop_strings(std::string(257, 'x'));
  options.set_draft_length(17);
  options.set_draft_length_max(-1);
  const std::string message(CheckGenerationOptions(options).message());
  EXPECT_THAT(message, HasSubstr("--top-p: "));
  EXPECT_THAT(message, HasSubstr("--stop-token (number 2): "));
  EXPECT_THAT(message, HasSubstr("--stop (number 1): "));
  EXPECT_THAT(message, HasSubstr("--draft-length: "));
  EXPECT_THAT(message, HasSubstr("--draft-length-max: "));
}

TEST(GenerationFlagsTest, AutoIsTheDefault) {
  const auto options =
      Parse({"--draft-length", "auto", "--draft-sources", "any"});
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->ByteSizeLong(), 0u);
  EXPECT_EQ(Parse({"--draft-sources", "model"})->draft_sources(),
            v1::DRAFT_SOURCES_MODEL);
}

TEST(GenerationFlagsTest, AChoiceIsNamedByItsFlag) {
  EXPECT_EQ(Parse({"--choice-index", "5"})->choice(), 5);
  v1::GenerationOptions options;
  options.set_choice(64);
  EXPECT_THAT(CheckGenerationOptions(options).message(),
              HasSubstr("--choice-index: must be in [0, 63]"));
}

TEST(GenerationFlagsTest, MinTokensIsAtMostMaxTokens) {
  EXPECT_EQ(Parse({"--min-tokens", "5"})->min_tokens(), 5);
  EXPECT_THAT(ErrorOf({"--min-tokens", "5", "--max-tokens", "4"}),
              HasSubstr("--min-tokens: must be in [0, 4]"));
}

TEST(GenerationFlagsTest, MalformedTextIsNamed) {
  for (const char* bias : {"5", "=1", "5=", "5=x", "x=5"}) {
    EXPECT_THAT(ErrorOf({"--logit-bias", bias}), HasSubstr("form ID=BIAS"))
        << bias;
  }
  for (const char* length : {"Auto", "4x", "99999999999"}) {
    EXPECT_THAT(ErrorOf({"--draft-length", length}),
                HasSubstr("--draft-length"))
        << length;
  }
  EXPECT_THAT(ErrorOf({"--stop", "\xc3"}), HasSubstr("UTF-8"));
}

// The parser's ranges are the service's: each bound is taken by both, and what
// lies beyond is refused by both, but for the lower bounds that are not in.
TEST(GenerationFlagsTest, RangesAreThoseOfTheService) {
  struct Case {
    const char* flag;
    std::vector<const char*> good;
    std::vector<const char*> bad;
  };
  const Case cases[] = {
      {"--max-tokens", {"1", "1048576"}, {"0", "1048577", "99999999999"}},
      {"--min-tokens", {"0", "512"}, {"-1", "1048577"}},
      {"--temperature", {"0", "100"}, {"-0.1", "100.1", "abc", "nan"}},
      {"--top-p", {"0.001", "1"}, {"-0.1", "1.01"}},
      {"--top-k", {"0", "2147483647"}, {"-1", "2147483648"}},
      {"--min-p", {"0", "1"}, {"-0.1", "1.1"}},
      {"--repetition-penalty", {"0.1", "10"}, {"-1", "10.1"}},
      {"--presence-penalty", {"-10", "10"}, {"-10.1", "10.1"}},
      {"--frequency-penalty", {"-10", "10"}, {"-10.1", "10.1"}},
      {"--seed", {"0", "18446744073709551615"}, {"-1", "1.5"}},
      {"--stop-token", {"0", "2147483646"}, {"-1", "x"}},
      {"--logprobs", {"0", "20"}, {"-1", "21"}},
      {"--choice-index", {"0", "63"}, {"-1", "64"}},
      {"--draft-length", {"0", "16", "auto"}, {"-1", "17"}},
      {"--draft-length-max", {"0", "16"}, {"-1", "17"}},
      {"--draft-sources", {"any", "model", "lookup"}, {"both"}}};
  for (const Case& test : cases) {
    for (const char* value : test.good) {
      EXPECT_EQ(ErrorOf({test.flag, value}), "") << test.flag << value;
    }
    for (const char* value : test.bad) {
      EXPECT_THAT(ErrorOf({test.flag, value}),
                  HasSubstr(std::string("\"") + value + "\" is n"))
          << test.flag;
    }
  }
}

TEST(GenerationFlagsTest, ZeroIsRefusedByTheServiceWhereItMustBeAbove) {
  for (const char* flag : {"--top-p", "--repetition-penalty"}) {
    EXPECT_THAT(ErrorOf({flag, "0"}),
                HasSubstr(std::string(flag) + ": must be above 0"));
  }
}

}  // namespace
}  // namespace tandem::cli
