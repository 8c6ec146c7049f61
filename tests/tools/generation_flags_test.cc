#include "tools/tandem/generation_flags.h"

#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tandem::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(GenerationFlagsTest, NothingGivenNothingSet) {
  const auto options = ToGenerationOptions({});
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->ByteSizeLong(), 0u);
}

TEST(GenerationFlagsTest, EveryFieldIsCarriedOver) {
  const auto options = ToGenerationOptions({.max_tokens = 1,
                                            .temperature = 0.0f,
                                            .top_p = 0.5f,
                                            .top_k = 0,
                                            .min_p = 1.0f,
                                            .repetition_penalty = 2.0f,
                                            .presence_penalty = -10.0f,
                                            .frequency_penalty = 10.0f,
                                            .logit_bias = {"3=-inf", "4=-1e1"},
                                            .seed = 0,
                                            .stop_token_ids = {5},
                                            .stop_strings = {"="},
                                            .ignore_eos = true,
                                            .logprobs = 0,
                                            .draft_length = "16",
                                            .draft_length_max = 7,
                                            .draft_sources = "lookup"});
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
  EXPECT_THAT(options->stop_token_ids(), ElementsAre(5));
  EXPECT_THAT(options->stop_strings(), ElementsAre("="));
  EXPECT_TRUE(options->ignore_eos());
  EXPECT_TRUE(options->has_logprobs());
  EXPECT_EQ(options->draft_length(), 16);
  EXPECT_EQ(options->draft_length_max(), 7);
  EXPECT_EQ(options->draft_sources(), v1::DRAFT_SOURCES_LOOKUP);
}

TEST(GenerationFlagsTest, OutOfRangeNamesEachFlag) {
  const auto options =
      ToGenerationOptions({.top_p = 0.0f,
                           .stop_token_ids = {1, -1},
                           .stop_strings = {std::string(257, 'x')},
                           .draft_length = "17",
                           .draft_length_max = -1});
  const std::string message(options.status().message());
  EXPECT_THAT(message, HasSubstr("--top-p: "));
  EXPECT_THAT(message, HasSubstr("--stop-token (number 2): "));
  EXPECT_THAT(message, HasSubstr("--stop (number 1): "));
  EXPECT_THAT(message, HasSubstr("--draft-length: "));
  EXPECT_THAT(message, HasSubstr("--draft-length-max: "));
}

TEST(GenerationFlagsTest, AutoIsTheDefault) {
  const auto options =
      ToGenerationOptions({.draft_length = "auto", .draft_sources = "any"});
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(options->ByteSizeLong(), 0u);
  EXPECT_EQ(ToGenerationOptions({.draft_sources = "model"})->draft_sources(),
            v1::DRAFT_SOURCES_MODEL);
}

TEST(GenerationFlagsTest, MalformedTextIsNamed) {
  for (const char* bias : {"", "5", "=1", "5=", "5=x", "x=5"}) {
    const auto options = ToGenerationOptions({.logit_bias = {bias}});
    EXPECT_THAT(std::string(options.status().message()),
                HasSubstr("write ID=BIAS"))
        << bias;
  }
  for (const char* length : {"", "Auto", "4x", "99999999999"}) {
    const auto options = ToGenerationOptions({.draft_length = length});
    EXPECT_THAT(std::string(options.status().message()),
                HasSubstr("--draft-length"))
        << length;
  }
  EXPECT_THAT(
      std::string(
          ToGenerationOptions({.draft_sources = "both"}).status().message()),
      HasSubstr("--draft-sources \"both\""));
  const auto options = ToGenerationOptions({.stop_strings = {"\xc3"}});
  EXPECT_THAT(std::string(options.status().message()), HasSubstr("UTF-8"));
}

// Parses `--flag value`; the error, "" for none.
std::string ParseError(const std::string& flag, const std::string& value,
                       GenerationFlags* flags) {
  CLI::App app("A test", "test");
  AddGenerationFlags(&app, flags);
  try {
    app.parse(std::vector<std::string>{value, flag});  // from the back
  } catch (const CLI::ParseError& error) {
    return error.what();
  }
  return "";
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
      {"--draft-length", {"0", "16", "auto"}, {"-1", "17"}},
      {"--draft-length-max", {"0", "16"}, {"-1", "17"}},
      {"--draft-sources", {"any", "model", "lookup"}, {"both"}}};
  for (const Case& test : cases) {
    for (const char* value : test.good) {
      GenerationFlags flags;
      EXPECT_EQ(ParseError(test.flag, value, &flags), "") << test.flag;
      EXPECT_TRUE(ToGenerationOptions(flags).ok()) << test.flag << value;
    }
    for (const char* value : test.bad) {
      GenerationFlags flags;
      EXPECT_THAT(ParseError(test.flag, value, &flags),
                  HasSubstr(std::string("\"") + value + "\" is n"))
          << test.flag;
    }
  }
}

TEST(GenerationFlagsTest, ZeroIsRefusedByTheServiceWhereItMustBeAbove) {
  for (const char* flag : {"--top-p", "--repetition-penalty"}) {
    GenerationFlags flags;
    EXPECT_EQ(ParseError(flag, "0", &flags), "");
    EXPECT_THAT(std::string(ToGenerationOptions(flags).status().message()),
                HasSubstr(std::string(flag) + ": must be above 0"));
  }
}

}  // namespace
}  // namespace tandem::cli
