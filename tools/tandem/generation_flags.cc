#include "tools/tandem/generation_flags.h"

#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "engine/sampling/gen_options.h"
#include "services/common/flag_values.h"
#include "services/common/options_conversion.h"
#include "tools/tandem/command_line.h"
#include "tools/tandem/service_terms.h"
#include "tools/tandem/text_input.h"

namespace tandem::cli {
namespace {

constexpr int64_t kInt32Max = std::numeric_limits<int32_t>::max();

template <typename T>
void AddScalar(CLI::App* command, const std::string& name,
               std::optional<T>* value, const CLI::Validator& check,
               const std::string& help) {
  command->add_option(name, *value, help)
      ->take_last()
      ->check(check)
      ->group("Generation");
}

template <typename T>
CLI::Option* AddRepeated(CLI::App* command, const std::string& name,
                         std::vector<T>* values, const std::string& help) {
  return command->add_option(name, *values, help)
      ->expected(1)
      ->take_all()
      ->group("Generation");
}

// The ranges of the service, but that 0 is refused by it alone where a value
// must be above 0.
CLI::Validator PenaltyValue() { return Number(-10, 10); }

absl::Status ParseLogitBias(const std::string& text, v1::LogitBias* bias) {
  const std::vector<std::string> parts =
      absl::StrSplit(text, absl::MaxSplits('=', 1));
  int32_t id = 0;
  float value = 0;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &id) ||
      !absl::SimpleAtof(parts[1], &value)) {
    return UsageError(absl::StrCat("--logit-bias ", QuotedValue(text),
                                   ": write ID=BIAS, e.g. 42=-5 or 42=-inf"));
  }
  bias->set_token_id(id);
  bias->set_bias(value);
  return absl::OkStatus();
}

// The service's own check, in the words of the command line. Token ids are
// left to who knows the vocabulary.
absl::Status CheckRanges(const v1::GenerationOptions& options) {
  return InFlagTerms(
      ParseGenOptions(options, std::numeric_limits<int32_t>::max()).status(),
      {});
}

void SetSampling(const GenerationFlags& flags, v1::GenerationOptions* options) {
  if (flags.temperature) options->set_temperature(*flags.temperature);
  if (flags.top_p) options->set_top_p(*flags.top_p);
  if (flags.top_k) options->set_top_k(*flags.top_k);
  if (flags.min_p) options->set_min_p(*flags.min_p);
  if (flags.repetition_penalty) {
    options->set_repetition_penalty(*flags.repetition_penalty);
  }
  if (flags.presence_penalty) {
    options->set_presence_penalty(*flags.presence_penalty);
  }
  if (flags.frequency_penalty) {
    options->set_frequency_penalty(*flags.frequency_penalty);
  }
}

absl::Status SetDrafting(const GenerationFlags& flags,
                         v1::GenerationOptions* options) {
  if (flags.draft_length && *flags.draft_length != "auto") {
    int32_t length = 0;
    if (!absl::SimpleAtoi(*flags.draft_length, &length)) {
      return UsageError(absl::StrCat("--draft-length ",
                                     QuotedValue(*flags.draft_length),
                                     ": write auto or a number, 0 .. 16"));
    }
    options->set_draft_length(length);
  }
  if (flags.draft_length_max) {
    options->set_draft_length_max(*flags.draft_length_max);
  }
  if (!flags.draft_sources || *flags.draft_sources == "any") {
    return absl::OkStatus();
  }
  if (*flags.draft_sources == "model") {
    options->set_draft_sources(v1::DRAFT_SOURCES_MODEL);
  } else if (*flags.draft_sources == "lookup") {
    options->set_draft_sources(v1::DRAFT_SOURCES_LOOKUP);
  } else {
    return UsageError(absl::StrCat("--draft-sources ",
                                   QuotedValue(*flags.draft_sources),
                                   ": write any, model or lookup"));
  }
  return absl::OkStatus();
}

}  // namespace

CLI::Validator TemperatureValue() { return Number(0, 100); }
CLI::Validator TopPValue() { return Number(0, 1); }
CLI::Validator TopKValue() { return WholeNumber(0, kInt32Max); }

void AddGenerationFlags(CLI::App* command, GenerationFlags* flags) {
  AddScalar(command, "--max-tokens", &flags->max_tokens,
            WholeNumber(1, kMaxTokensLimit),
            "Tokens to generate at most; default 512");
  AddScalar(command, "--temperature", &flags->temperature, TemperatureValue(),
            "0 is greedy; default 0.7");
  AddScalar(command, "--top-p", &flags->top_p, TopPValue(),
            "Keep the fewest tokens with this probability, above 0; 1 is off; "
            "default 0.9");
  AddScalar(command, "--top-k", &flags->top_k, TopKValue(),
            "Keep this many tokens; 0 is off; default 40");
  AddScalar(command, "--min-p", &flags->min_p, Number(0, 1),
            "Drop tokens below this share of the best one's probability; "
            "0 is off; default 0");
  AddScalar(command, "--repetition-penalty", &flags->repetition_penalty,
            Number(0, 10), "Above 0; 1 is off; default 1.1");
  AddScalar(command, "--presence-penalty", &flags->presence_penalty,
            PenaltyValue(), "Of tokens that this turn has; default 0");
  AddScalar(command, "--frequency-penalty", &flags->frequency_penalty,
            PenaltyValue(), "The same for each time; default 0");
  AddRepeated(command, "--logit-bias", &flags->logit_bias,
              "ID=BIAS: added to a token's logit, -1000 .. 1000, or -inf, "
              "which bans it; may be repeated");
  AddScalar(command, "--seed", &flags->seed, AnyUnsigned(),
            "Default: one is drawn (--stats and --json show it)");
  AddRepeated(command, "--stop-token", &flags->stop_token_ids,
              "Token id that ends the turn; may be repeated, up to 255 times")
      ->check(WholeNumber(0, kInt32Max));
  AddRepeated(command, "--stop", &flags->stop_strings,
              "Text that ends the turn, which is cut before it, or the name of "
              "a control token; may be repeated");
  command
      ->add_flag("--ignore-eos", flags->ignore_eos,
                 "Go on past the model's own end of text")
      ->group("Generation");
  AddScalar(command, "--logprobs", &flags->logprobs,
            WholeNumber(0, kLogprobsLimit),
            "With --json: log-probabilities of each token and of this many "
            "alternatives");
  AddScalar(command, "--draft-length", &flags->draft_length,
            AutoOrWholeNumber(0, kDraftLengthLimit),
            "Tokens drafted per round; 0: no speculation; auto: as many as are "
            "fastest; never changes the text; default auto");
  AddScalar(command, "--draft-length-max", &flags->draft_length_max,
            WholeNumber(0, kDraftLengthLimit),
            "The most that auto drafts; default 16");
  AddScalar(command, "--draft-sources", &flags->draft_sources,
            OneOf({"any", "model", "lookup"}),
            "Where drafts come from: model (a draft model), lookup (the "
            "session's own text) or any; default any");
}

absl::StatusOr<v1::GenerationOptions> ToGenerationOptions(
    const GenerationFlags& flags) {
  v1::GenerationOptions options;
  if (flags.max_tokens) options.set_max_tokens(*flags.max_tokens);
  SetSampling(flags, &options);
  for (const std::string& text : flags.logit_bias) {
    TANDEM_RETURN_IF_ERROR(ParseLogitBias(text, options.add_logit_bias()));
  }
  if (flags.seed) options.set_seed(*flags.seed);
  for (const int32_t id : flags.stop_token_ids) options.add_stop_token_ids(id);
  for (const std::string& text : flags.stop_strings) {
    TANDEM_RETURN_IF_ERROR(CheckUtf8(text, "text of --stop"));
    options.add_stop_strings(text);
  }
  if (flags.ignore_eos) options.set_ignore_eos(true);
  if (flags.logprobs) options.set_logprobs(*flags.logprobs);
  TANDEM_RETURN_IF_ERROR(SetDrafting(flags, &options));
  TANDEM_RETURN_IF_ERROR(CheckRanges(options));
  return options;
}

}  // namespace tandem::cli
