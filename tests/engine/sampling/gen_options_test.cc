#include "engine/sampling/gen_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "engine/base/error_reason.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr int kVocabSize = 100;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

// Names of the wrong fields; empty where the options are valid.
std::vector<std::string> WrongFields(const GenOptions& options) {
  const absl::Status status = ValidateGenOptions(options, kVocabSize);
  if (status.ok()) return {};
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  EXPECT_TRUE(detail.has_value());
  EXPECT_EQ(detail->reason, kReasonInvalidOptions);
  std::vector<std::string> fields;
  for (const FieldViolation& violation : detail->violations) {
    EXPECT_FALSE(violation.description.empty());
    EXPECT_NE(status.message().find(violation.field), absl::string_view::npos);
    fields.push_back(violation.field);
  }
  return fields;
}

TEST(GenOptionsTest, DefaultsAreTheServices) {
  const GenOptions options;
  EXPECT_EQ(options.max_tokens, 512);
  EXPECT_EQ(options.temperature, 0.7f);
  EXPECT_EQ(options.top_p, 0.9f);
  EXPECT_EQ(options.top_k, 40);
  EXPECT_EQ(options.repetition_penalty, 1.1f);
  EXPECT_FALSE(options.draft_length.has_value());
  EXPECT_EQ(options.draft_length_max, kDraftLengthLimit);
  EXPECT_EQ(options.draft_sources, DraftSources::kAny);
  EXPECT_THAT(WrongFields(options), IsEmpty());
}

TEST(GenOptionsTest, EveryFloat) {
  struct Case {
    const char* field;
    float GenOptions::*member;
    std::vector<float> good;
    std::vector<float> bad;
  };
  const float subnormal = std::numeric_limits<float>::denorm_min();
  const std::vector<Case> cases = {
      {"temperature",
       &GenOptions::temperature,
       {0.0f, -0.0f, subnormal, 100.0f},
       {-1.0f, -subnormal, 100.1f, 1e30f}},
      {"top_p", &GenOptions::top_p, {subnormal, 1.0f}, {0.0f, -0.1f, 1.1f}},
      {"min_p", &GenOptions::min_p, {0.0f, 1.0f}, {-0.1f, 1.1f}},
      {"repetition_penalty",
       &GenOptions::repetition_penalty,
       {subnormal, 10.0f},
       {0.0f, -1.0f, 10.1f}},
      {"presence_penalty",
       &GenOptions::presence_penalty,
       {-10.0f, 10.0f},
       {-10.1f, 10.1f}},
      {"frequency_penalty",
       &GenOptions::frequency_penalty,
       {-10.0f, 10.0f},
       {-10.1f, 10.1f}},
  };
  for (const Case& c : cases) {
    for (const float value : c.good) {
      GenOptions options;
      options.*c.member = value;
      EXPECT_THAT(WrongFields(options), IsEmpty()) << c.field << " " << value;
    }
    std::vector<float> bad = c.bad;
    bad.insert(bad.end(), {kNan, kInf, -kInf});
    for (const float value : bad) {
      GenOptions options;
      options.*c.member = value;
      EXPECT_THAT(WrongFields(options), ElementsAre(c.field)) << value;
    }
  }
}

TEST(GenOptionsTest, EveryInteger) {
  struct Case {
    const char* field;
    int32_t GenOptions::*member;
    std::vector<int32_t> good;
    std::vector<int32_t> bad;
  };
  const std::vector<Case> cases = {
      {"max_tokens",
       &GenOptions::max_tokens,
       {1, kMaxTokensLimit},
       {0, -1, kMaxTokensLimit + 1, INT32_MAX, INT32_MIN}},
      {"min_tokens", &GenOptions::min_tokens, {0, 512}, {-1, 513, INT32_MAX}},
      {"top_k", &GenOptions::top_k, {0, 1, INT32_MAX}, {-1, INT32_MIN}},
      {"choice",
       &GenOptions::choice,
       {0, kChoicesLimit - 1},
       {-1, kChoicesLimit, INT32_MAX, INT32_MIN}},
      {"draft_length_max",
       &GenOptions::draft_length_max,
       {0, kDraftLengthLimit},
       {-1, kDraftLengthLimit + 1, 1000000, INT32_MIN}},
  };
  for (const Case& c : cases) {
    for (const int32_t value : c.good) {
      GenOptions options;
      options.*c.member = value;
      EXPECT_THAT(WrongFields(options), IsEmpty()) << c.field << " " << value;
    }
    for (const int32_t value : c.bad) {
      GenOptions options;
      options.*c.member = value;
      EXPECT_THAT(WrongFields(options), ElementsAre(c.field)) << value;
    }
  }
  for (const int32_t value : {0, kDraftLengthLimit}) {
    EXPECT_THAT(WrongFields({.draft_length = value}), IsEmpty());
  }
  for (const int32_t value : {-1, kDraftLengthLimit + 1, 1000000, INT32_MIN}) {
    EXPECT_THAT(WrongFields({.draft_length = value}),
                ElementsAre("draft_length"));
  }
  for (const int32_t value : {0, kLogprobsLimit}) {
    EXPECT_THAT(WrongFields({.logprobs = value}), IsEmpty());
  }
  for (const int32_t value : {-1, kLogprobsLimit + 1, INT32_MAX}) {
    EXPECT_THAT(WrongFields({.logprobs = value}), ElementsAre("logprobs"));
  }
}

TEST(GenOptionsTest, AnySeed) {
  for (const uint64_t seed : {uint64_t{0}, UINT64_MAX}) {
    EXPECT_THAT(WrongFields({.seed = seed}), IsEmpty());
  }
}

TEST(GenOptionsTest, LogitBias) {
  EXPECT_THAT(WrongFields({.logit_bias = {{0, -kInf},
                                          {1, 1000.0f},
                                          {kVocabSize - 1, -1000.0f}}}),
              IsEmpty());
  EXPECT_THAT(WrongFields({.logit_bias = {{-1, 0.0f},
                                          {kVocabSize, 0.0f},
                                          {1, kNan},
                                          {2, kInf},
                                          {3, 1001.0f},
                                          {4, -1001.0f},
                                          {5, 0.0f},
                                          {5, 0.0f}}}),
              ElementsAre("logit_bias[0]", "logit_bias[1]", "logit_bias[2]",
                          "logit_bias[3]", "logit_bias[4]", "logit_bias[5]",
                          "logit_bias[7]"));
  GenOptions options;
  options.logit_bias.resize(1000000);
  EXPECT_THAT(WrongFields(options), ElementsAre("logit_bias"));
}

TEST(GenOptionsTest, StopTokens) {
  EXPECT_THAT(WrongFields({.stop_token_ids = {0, kVocabSize - 1}}), IsEmpty());
  EXPECT_THAT(WrongFields({.stop_token_ids = {-1, 5, kVocabSize, INT32_MIN}}),
              ElementsAre("stop_token_ids[0]", "stop_token_ids[2]",
                          "stop_token_ids[3]"));
  EXPECT_THAT(WrongFields({.stop_token_ids = std::vector<TokenId>(
                               kStopTokenIdsLimit + 1, 1)}),
              ElementsAre("stop_token_ids"));
}

TEST(GenOptionsTest, StopStrings) {
  EXPECT_THAT(
      WrongFields({.stop_strings = {"a", std::string(256, 'x'), "\u00e9"}}),
      IsEmpty());
  EXPECT_THAT(
      WrongFields({.stop_strings = {"", "fine", std::string(257, 'x'), "\xff",
                                    "\xc3", "\xed\xa0\x80", "\xc0\x80"}}),
      ElementsAre("stop_strings[0]", "stop_strings[2]", "stop_strings[3]",
                  "stop_strings[4]", "stop_strings[5]", "stop_strings[6]"));
  EXPECT_THAT(
      WrongFields({.stop_strings = std::vector<std::string>(10000, "x")}),
      ElementsAre("stop_strings"));
}

TEST(GenOptionsTest, AllWrongFieldsInOneStatus) {
  GenOptions options;
  options.max_tokens = 0;
  options.temperature = -1;
  options.top_p = 0;
  options.top_k = -1;
  options.min_p = 2;
  options.repetition_penalty = 0;
  options.presence_penalty = kNan;
  options.frequency_penalty = kInf;
  options.logit_bias = {{-1, 0}};
  options.stop_token_ids = {-1};
  options.stop_strings = {""};
  options.logprobs = -1;
  options.draft_length = -1;
  options.draft_length_max = 17;
  EXPECT_THAT(
      WrongFields(options),
      ElementsAre("max_tokens", "temperature", "top_p", "top_k", "min_p",
                  "repetition_penalty", "presence_penalty", "frequency_penalty",
                  "logit_bias[0]", "stop_token_ids[0]", "stop_strings[0]",
                  "logprobs", "draft_length", "draft_length_max"));
}

TEST(IsUtf8Test, WellFormedOnly) {
  for (const char* good :
       {"", "plain", "\u00fc", "\u20ac", "\U0001f600", "\ufeffbom", "\uffff"}) {
    EXPECT_TRUE(IsUtf8(good)) << good;
  }
  EXPECT_TRUE(IsUtf8(absl::string_view("a\0b", 3)));
  for (const char* bad :
       {"\x80", "\xc3", "\xc3(", "\xe2\x82", "\xf0\x9f\x98", "\xc0\xaf",
        "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff"}) {
    EXPECT_FALSE(IsUtf8(bad)) << bad;
  }
}

TEST(DrawSeedTest, FitsADoubleAndVaries) {
  std::set<uint64_t> seeds;
  uint64_t bits = 0;
  for (int i = 0; i < 200; ++i) {
    const uint64_t seed = DrawSeed();
    EXPECT_LT(seed, uint64_t{1} << 53);
    seeds.insert(seed);
    bits |= seed;
  }
  EXPECT_EQ(seeds.size(), 200u);  // a collision has odds of 2^-38
  // Each bit is 0 in all 200 draws with odds of 2^-200.
  EXPECT_EQ(bits, (uint64_t{1} << 53) - 1);
}

}  // namespace
}  // namespace tandem
