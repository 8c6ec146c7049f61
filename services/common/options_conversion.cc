#include "services/common/options_conversion.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/status.h"

namespace tandem {
namespace {

DraftSources FromProto(v1::DraftSources sources) {
  switch (sources) {
    case v1::DRAFT_SOURCES_MODEL:
      return DraftSources::kModel;
    case v1::DRAFT_SOURCES_LOOKUP:
      return DraftSources::kLookup;
    default:
      return DraftSources::kAny;
  }
}

v1::DraftSources ToProto(DraftSources sources) {
  switch (sources) {
    case DraftSources::kAny:
      return v1::DRAFT_SOURCES_UNSPECIFIED;
    case DraftSources::kModel:
      return v1::DRAFT_SOURCES_MODEL;
    case DraftSources::kLookup:
      return v1::DRAFT_SOURCES_LOOKUP;
  }
  return v1::DRAFT_SOURCES_UNSPECIFIED;
}

TextTags FromProto(const v1::TagsFormat& format) {
  TextTags tags = {.trigger = format.trigger(),
                   .trigger_at_start = format.trigger_at_start(),
                   .section_begin = format.section_begin(),
                   .separator = format.separator(),
                   .section_end = format.section_end(),
                   .tags_min = format.tags_min(),
                   .tags_max = format.tags_max()};
  for (const v1::JsonTag& tag : format.tags()) {
    tags.tags.push_back({.begin = tag.begin(),
                         .json_schema = tag.json_schema(),
                         .end = tag.end()});
  }
  return tags;
}

void ToProto(const TextTags& tags, v1::TagsFormat* format) {
  for (const JsonTag& tag : tags.tags) {
    v1::JsonTag& added = *format->add_tags();
    added.set_begin(tag.begin);
    added.set_json_schema(tag.json_schema);
    added.set_end(tag.end);
  }
  format->set_trigger(tags.trigger);
  format->set_trigger_at_start(tags.trigger_at_start);
  format->set_section_begin(tags.section_begin);
  format->set_separator(tags.separator);
  format->set_section_end(tags.section_end);
  format->set_tags_min(tags.tags_min);
  format->set_tags_max(tags.tags_max);
}

// Without preamble and answer_begin.
GrammarSource SourceOf(const v1::ResponseFormat& format) {
  using Kind = GrammarSource::Kind;
  switch (format.format_case()) {
    case v1::ResponseFormat::kJsonSchema:
      return {.kind = Kind::kJsonSchema, .text = format.json_schema()};
    case v1::ResponseFormat::kRegex:
      return {.kind = Kind::kRegex, .text = format.regex()};
    case v1::ResponseFormat::kGrammar:
      return {.kind = Kind::kGbnf, .text = format.grammar()};
    case v1::ResponseFormat::kChoices:
      return {.kind = Kind::kChoices,
              .choices = {format.choices().texts().begin(),
                          format.choices().texts().end()}};
    case v1::ResponseFormat::kTags:
      return {.kind = Kind::kTags, .tags = FromProto(format.tags())};
    case v1::ResponseFormat::kJsonObject:
    case v1::ResponseFormat::FORMAT_NOT_SET:
      break;
  }
  return {.kind = Kind::kJsonObject};
}

GrammarSource FromProto(const v1::ResponseFormat& format) {
  GrammarSource source = SourceOf(format);
  source.preamble_begin = format.preamble_begin();
  source.preamble_end = format.preamble_end();
  source.answer_begin = format.answer_begin();
  return source;
}

v1::ResponseFormat ToProto(const GrammarSource& source) {
  v1::ResponseFormat format;
  switch (source.kind) {
    case GrammarSource::Kind::kJsonSchema:
      format.set_json_schema(source.text);
      break;
    case GrammarSource::Kind::kJsonObject:
      format.mutable_json_object();
      break;
    case GrammarSource::Kind::kRegex:
      format.set_regex(source.text);
      break;
    case GrammarSource::Kind::kGbnf:
      format.set_grammar(source.text);
      break;
    case GrammarSource::Kind::kChoices:
      format.mutable_choices()->mutable_texts()->Add(source.choices.begin(),
                                                     source.choices.end());
      break;
    case GrammarSource::Kind::kTags:
      ToProto(source.tags, format.mutable_tags());
      break;
  }
  format.set_preamble_begin(source.preamble_begin);
  format.set_preamble_end(source.preamble_end);
  format.set_answer_begin(source.answer_begin);
  return format;
}

}  // namespace

GenOptions FromProto(const v1::GenerationOptions& options) {
  GenOptions result;
  if (options.has_max_tokens()) result.max_tokens = options.max_tokens();
  if (options.has_temperature()) result.temperature = options.temperature();
  if (options.has_top_p()) result.top_p = options.top_p();
  if (options.has_top_k()) result.top_k = options.top_k();
  if (options.has_min_p()) result.min_p = options.min_p();
  if (options.has_repetition_penalty()) {
    result.repetition_penalty = options.repetition_penalty();
  }
  if (options.has_presence_penalty()) {
    result.presence_penalty = options.presence_penalty();
  }
  if (options.has_frequency_penalty()) {
    result.frequency_penalty = options.frequency_penalty();
  }
  for (const v1::LogitBias& bias : options.logit_bias()) {
    result.logit_bias.push_back({.id = bias.token_id(), .bias = bias.bias()});
  }
  if (options.has_seed()) result.seed = options.seed();
  if (options.has_choice()) result.choice = options.choice();
  result.stop_token_ids.assign(options.stop_token_ids().begin(),
                               options.stop_token_ids().end());
  result.stop_strings.assign(options.stop_strings().begin(),
                             options.stop_strings().end());
  if (options.has_ignore_eos()) result.ignore_eos = options.ignore_eos();
  if (options.has_logprobs()) result.logprobs = options.logprobs();
  if (options.has_min_tokens()) result.min_tokens = options.min_tokens();
  if (options.has_response_format()) {
    result.response_format = FromProto(options.response_format());
  }
  if (options.has_draft_length()) result.draft_length = options.draft_length();
  if (options.has_draft_length_max()) {
    result.draft_length_max = options.draft_length_max();
  }
  result.draft_sources = FromProto(options.draft_sources());
  return result;
}

absl::StatusOr<GenOptions> ParseGenOptions(const v1::GenerationOptions& options,
                                           int vocab_size) {
  if (!v1::DraftSources_IsValid(options.draft_sources())) {
    return InvalidField(
        "draft_sources",
        absl::StrCat("must be a value of DraftSources, is ",
                     static_cast<int>(options.draft_sources())));
  }
  if (options.has_response_format() &&
      options.response_format().format_case() ==
          v1::ResponseFormat::FORMAT_NOT_SET) {
    return InvalidField("response_format",
                        "must be json_schema, json_object, regex, grammar, "
                        "choices or tags");
  }
  GenOptions parsed = FromProto(options);
  TANDEM_RETURN_IF_ERROR(ValidateGenOptions(parsed, vocab_size));
  return parsed;
}

v1::GenerationOptions ToProto(const GenOptions& options) {
  v1::GenerationOptions result;
  result.set_max_tokens(options.max_tokens);
  result.set_temperature(options.temperature);
  result.set_top_p(options.top_p);
  result.set_top_k(options.top_k);
  result.set_min_p(options.min_p);
  result.set_repetition_penalty(options.repetition_penalty);
  result.set_presence_penalty(options.presence_penalty);
  result.set_frequency_penalty(options.frequency_penalty);
  for (const LogitBias& bias : options.logit_bias) {
    v1::LogitBias* added = result.add_logit_bias();
    added->set_token_id(bias.id);
    added->set_bias(bias.bias);
  }
  if (options.seed.has_value()) result.set_seed(*options.seed);
  result.set_choice(options.choice);
  result.mutable_stop_token_ids()->Add(options.stop_token_ids.begin(),
                                       options.stop_token_ids.end());
  result.mutable_stop_strings()->Add(options.stop_strings.begin(),
                                     options.stop_strings.end());
  result.set_ignore_eos(options.ignore_eos);
  if (options.logprobs.has_value()) result.set_logprobs(*options.logprobs);
  result.set_min_tokens(options.min_tokens);
  if (options.response_format.has_value()) {
    *result.mutable_response_format() = ToProto(*options.response_format);
  }
  if (options.draft_length.has_value()) {
    result.set_draft_length(*options.draft_length);
  }
  result.set_draft_length_max(options.draft_length_max);
  result.set_draft_sources(ToProto(options.draft_sources));
  return result;
}

v1::PositionLogprobs LogprobsToProto(const SampledToken& token) {
  v1::PositionLogprobs result;
  result.set_logprob(token.logprob);
  for (const TokenLogprob& alternative : token.alternatives) {
    v1::TokenLogprob* added = result.add_alternatives();
    added->set_token_id(alternative.id);
    added->set_logprob(alternative.logprob);
  }
  return result;
}

SampledToken SampledTokenFromProto(TokenId id,
                                   const v1::PositionLogprobs& logprobs) {
  SampledToken result;
  result.id = id;
  result.logprob = logprobs.logprob();
  for (const v1::TokenLogprob& alternative : logprobs.alternatives()) {
    result.alternatives.push_back(
        {.id = alternative.token_id(), .logprob = alternative.logprob()});
  }
  return result;
}

}  // namespace tandem
