#include "services/common/options_conversion.h"

#include <gtest/gtest.h>

#include <limits>

#include "absl/strings/str_cat.h"
#include "engine/base/error_reason.h"
#include "engine/base/status.h"

namespace tandem {
namespace {

TEST(OptionsConversionTest, NothingSetIsTheDefaults) {
  const GenOptions converted = FromProto(v1::GenerationOptions());
  const GenOptions defaults;
  EXPECT_EQ(converted.max_tokens, defaults.max_tokens);
  EXPECT_EQ(converted.temperature, defaults.temperature);
  EXPECT_EQ(converted.top_p, defaults.top_p);
  EXPECT_EQ(converted.top_k, defaults.top_k);
  EXPECT_EQ(converted.min_p, defaults.min_p);
  EXPECT_EQ(converted.repetition_penalty, defaults.repetition_penalty);
  EXPECT_EQ(converted.presence_penalty, defaults.presence_penalty);
  EXPECT_EQ(converted.frequency_penalty, defaults.frequency_penalty);
  EXPECT_TRUE(converted.logit_bias.empty());
  EXPECT_FALSE(converted.seed.has_value());
  EXPECT_EQ(converted.choice, 0);
  EXPECT_TRUE(converted.stop_token_ids.empty());
  EXPECT_TRUE(converted.stop_strings.empty());
  EXPECT_FALSE(converted.ignore_eos);
  EXPECT_EQ(converted.min_tokens, 0);
  EXPECT_FALSE(converted.response_format.has_value());
  EXPECT_FALSE(converted.logprobs.has_value());
  EXPECT_EQ(converted.draft_length, defaults.draft_length);
  EXPECT_EQ(converted.draft_length_max, defaults.draft_length_max);
  EXPECT_EQ(converted.draft_sources, defaults.draft_sources);
}

TEST(OptionsConversionTest, EveryFieldSurvivesTheRoundTrip) {
  GenOptions options;
  options.max_tokens = 7;
  options.temperature = 0;
  options.top_p = 0.5f;
  options.top_k = 0;
  options.min_p = 0.25f;
  options.repetition_penalty = 2;
  options.presence_penalty = -1;
  options.frequency_penalty = 3;
  options.logit_bias = {
      {.id = 4, .bias = -std::numeric_limits<float>::infinity()},
      {.id = 5, .bias = 1.5f}};
  options.seed = std::numeric_limits<uint64_t>::max();
  options.choice = 63;
  options.stop_token_ids = {1, 2};
  options.stop_strings = {"a", "b"};
  options.ignore_eos = true;
  options.min_tokens = 3;
  options.logprobs = 0;
  options.draft_length = 0;
  options.draft_length_max = 9;
  options.draft_sources = DraftSources::kLookup;

  const GenOptions back = FromProto(ToProto(options));
  EXPECT_EQ(back.max_tokens, 7);
  EXPECT_EQ(back.temperature, 0);
  EXPECT_EQ(back.top_p, 0.5f);
  EXPECT_EQ(back.top_k, 0);
  EXPECT_EQ(back.min_p, 0.25f);
  EXPECT_EQ(back.repetition_penalty, 2);
  EXPECT_EQ(back.presence_penalty, -1);
  EXPECT_EQ(back.frequency_penalty, 3);
  ASSERT_EQ(back.logit_bias.size(), 2u);
  EXPECT_EQ(back.logit_bias[0].id, 4);
  EXPECT_EQ(back.logit_bias[0].bias, options.logit_bias[0].bias);
  EXPECT_EQ(back.logit_bias[1].bias, 1.5f);
  EXPECT_EQ(back.seed, options.seed);
  EXPECT_EQ(back.choice, 63);
  EXPECT_EQ(back.stop_token_ids, options.stop_token_ids);
  EXPECT_EQ(back.stop_strings, options.stop_strings);
  EXPECT_TRUE(back.ignore_eos);
  EXPECT_EQ(back.min_tokens, 3);
  EXPECT_FALSE(back.response_format.has_value());
  EXPECT_EQ(back.logprobs, 0);
  EXPECT_EQ(back.draft_length, 0);
  EXPECT_EQ(back.draft_length_max, 9);
  EXPECT_EQ(back.draft_sources, DraftSources::kLookup);
}

TEST(OptionsConversionTest, EveryFormatSurvivesTheRoundTrip) {
  using Kind = GrammarSource::Kind;
  for (const GrammarSource& source :
       {GrammarSource{.kind = Kind::kJsonSchema, .text = "{}"},
        GrammarSource{.kind = Kind::kJsonObject},
        GrammarSource{.kind = Kind::kRegex, .text = "a+"},
        GrammarSource{.kind = Kind::kGbnf, .text = "root ::= \"a\""},
        GrammarSource{.kind = Kind::kChoices, .choices = {"a", "b"}},
        GrammarSource{.kind = Kind::kTags,
        .tags = {.tags = {{.begin = "<a>", .json_schema = "{}"},
                          {.begin = "<b>", .end = "</b>"}},
                .trigger = "<",
                .trigger_at_start = true,
                .section_begin = "[",
                .separator = ",",
                .section_end = "]",
                .tags_min = 2,
                .tags_max = 3}},
        GrammarSource{.kind = Kind::kTags,
        .tags = {.trigger = "x", .tags_max = 0}},
        GrammarSource{.kind = Kind::kJsonObject,
        .preamble_begin = "<think>",
        .preamble_end = "</think>",
        .answer_begin = "<answer>"},
        GrammarSource{
            .kind = Kind::kRegex, .text = "a", .preamble_end = "</think>"}}) {
    GenOptions options;
    options.response_format = source;
    EXPECT_EQ(FromProto(ToProto(options)).response_format, source);
  }
}

TEST(OptionsConversionTest, AFormatOfNoKindIsRefused) {
  v1::GenerationOptions options;
  options.mutable_response_format();
  const auto detail = GetErrorDetail(ParseGenOptions(options, 10).status());
  ASSERT_TRUE(detail.has_value());
  EXPECT_EQ(detail->violations[0].field, "response_format");
  EXPECT_EQ(detail->violations[0].description,
            "must be json_schema, json_object, regex, grammar, choices or "
            "tags");
}

TEST(OptionsConversionTest, AnEnumValueThatIsNotKnownIsRefused) {
  v1::GenerationOptions options;
  EXPECT_TRUE(ParseGenOptions(options, 10).ok());
  for (const int value : {77, -1, 3}) {
    options.set_draft_sources(static_cast<v1::DraftSources>(value));
    const absl::Status status = ParseGenOptions(options, 10).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    const auto detail = GetErrorDetail(status);
    ASSERT_TRUE(detail.has_value());
    EXPECT_EQ(detail->reason, kReasonInvalidOptions);
    ASSERT_EQ(detail->violations.size(), 1u);
    EXPECT_EQ(detail->violations[0].field, "draft_sources");
    EXPECT_EQ(detail->violations[0].description,
              absl::StrCat("must be a value of DraftSources, is ", value));
  }
}

TEST(OptionsConversionTest, WhatIsOutOfRangeIsRefused) {
  v1::GenerationOptions options;
  options.set_temperature(-1);
  EXPECT_EQ(GetErrorDetail(ParseGenOptions(options, 10).status())->reason,
            kReasonInvalidOptions);
}

TEST(OptionsConversionTest, EverySourceSurvivesTheRoundTrip) {
  for (const DraftSources sources :
       {DraftSources::kAny, DraftSources::kModel, DraftSources::kLookup}) {
    EXPECT_EQ(FromProto(ToProto({.draft_sources = sources})).draft_sources,
              sources);
  }
}

TEST(OptionsConversionTest, WhatIsAbsentStaysAbsent) {
  const v1::GenerationOptions options = ToProto(GenOptions());
  EXPECT_FALSE(options.has_draft_length());
  EXPECT_FALSE(options.has_seed());
  EXPECT_FALSE(options.has_logprobs());
}

TEST(OptionsConversionTest, SampledTokenSurvivesTheRoundTrip) {
  SampledToken token;
  token.id = 9;
  token.logprob = -0.5f;
  token.alternatives = {{.id = 9, .logprob = -0.5f},
                        {.id = 3, .logprob = -2.0f}};
  EXPECT_EQ(SampledTokenFromProto(9, LogprobsToProto(token)), token);
}

}  // namespace
}  // namespace tandem
