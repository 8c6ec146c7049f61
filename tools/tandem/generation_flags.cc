#include "tools/tandem/generation_flags.h"

#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "engine/sampling/gen_options.h"
#include "services/common/options_conversion.h"
#include "tools/tandem/command_line.h"
#include "tools/tandem/text_input.h"

namespace tandem::cli {
namespace {

template <typename T>
void AddScalar(CLI::App* command, const std::string& name,
               std::optional<T>* value, const std::string& help) {
  command->add_option(name, *value, help)->take_last()->group("Generation");
}

template <typename T>
void AddRepeated(CLI::App* command, const std::string& name,
                 std::vector<T>* values, const std::string& help) {
  command->add_option(name, *values, help)
      ->expected(1)
      ->take_all()
      ->group("Generation");
}

absl::Status ParseLogitBias(const std::string& text, v1::LogitBias* bias) {
  const std::vector<std::string> parts =
      absl::StrSplit(text, absl::MaxSplits('=', 1));
  int32_t id = 0;
  float value = 0;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &id) ||
      !absl::SimpleAtof(parts[1], &value)) {
    return UsageError(absl::StrCat("--logit-bias ", text,
                                   ": write ID=BIAS, e.g. 42=-5 or 42=-inf"));
  }
  bias->set_token_id(id);
  bias->set_bias(value);
  return absl::OkStatus();
}

// "stop_strings[3]" is "--stop (3)"; flags count from 1 as people do.
std::string FlagOfField(const std::string& field) {
  const std::vector<std::string> parts =
      absl::StrSplit(field, absl::MaxSplits('[', 1));
  std::string flag =
      absl::StrCat("--", absl::StrReplaceAll(parts[0], {{"_", "-"}}));
  if (parts[0] == "stop_strings") flag = "--stop";
  if (parts[0] == "stop_token_ids") flag = "--stop-token";
  int index = 0;
  if (parts.size() == 2 &&
      absl::SimpleAtoi(parts[1].substr(0, parts[1].find(']')), &index)) {
    absl::StrAppend(&flag, " (number ", index + 1, ")");
  }
  return flag;
}

// The service's own check, in the words of the command line. Token ids are
// left to who knows the vocabulary.
absl::Status CheckRanges(const v1::GenerationOptions& options) {
  return InFlagTerms(ValidateGenOptions(FromProto(options),
                                        std::numeric_limits<int32_t>::max()));
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
      return UsageError(absl::StrCat("--draft-length ", *flags.draft_length,
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
    return UsageError(absl::StrCat("--draft-sources ", *flags.draft_sources,
                                   ": write any, model or lookup"));
  }
  return absl::OkStatus();
}

}  // namespace

void AddGenerationFlags(CLI::App* command, GenerationFlags* flags) {
  AddScalar(command, "--max-tokens", &flags->max_tokens,
            "Tokens to generate at most: 1 .. 1048576; default 512");
  AddScalar(command, "--temperature", &flags->temperature,
            "0 is greedy, up to 100; default 0.7");
  AddScalar(command, "--top-p", &flags->top_p,
            "Keep the fewest tokens with this probability; 1 is off; "
            "default 0.9");
  AddScalar(command, "--top-k", &flags->top_k,
            "Keep this many tokens; 0 is off; default 40");
  AddScalar(command, "--min-p", &flags->min_p,
            "Drop tokens below this share of the best one's probability; "
            "0 is off; default 0");
  AddScalar(command, "--repetition-penalty", &flags->repetition_penalty,
            "Above 0 up to 10; 1 is off; default 1.1");
  AddScalar(command, "--presence-penalty", &flags->presence_penalty,
            "-10 .. 10; default 0");
  AddScalar(command, "--frequency-penalty", &flags->frequency_penalty,
            "-10 .. 10; default 0");
  AddRepeated(command, "--logit-bias", &flags->logit_bias,
              "ID=BIAS: added to a token's logit, -1000 .. 1000, or -inf, "
              "which bans it; may be repeated");
  AddScalar(command, "--seed", &flags->seed,
            "Any 64-bit number; default: one is drawn (--stats and --json "
            "show it)");
  AddRepeated(command, "--stop-token", &flags->stop_token_ids,
              "Token id that ends the turn; may be repeated, up to 255 times");
  AddRepeated(command, "--stop", &flags->stop_strings,
              "Text that ends the turn, which is cut before it; may be "
              "repeated");
  command
      ->add_flag("--ignore-eos", flags->ignore_eos,
                 "Go on past the model's own end of text")
      ->group("Generation");
  AddScalar(command, "--logprobs", &flags->logprobs,
            "With --json: log-probabilities of each token and of this many "
            "alternatives, 0 .. 20");
  AddScalar(command, "--draft-length", &flags->draft_length,
            "Tokens drafted per round, 0 (no speculation) .. 16, or auto: as "
            "many as are fastest; never changes the text; default auto");
  AddScalar(command, "--draft-length-max", &flags->draft_length_max,
            "The most that auto drafts: 0 .. 16; default 16");
  AddScalar(command, "--draft-sources", &flags->draft_sources,
            "Where drafts come from: model (a draft model), lookup (the "
            "session's own text) or any; default any");
}

absl::Status InFlagTerms(const absl::Status& status) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  if (!detail || detail->reason != kReasonInvalidOptions ||
      detail->violations.empty()) {
    return status;
  }
  return UsageError(
      absl::StrJoin(detail->violations, "; ",
                    [](std::string* out, const FieldViolation& violation) {
                      absl::StrAppend(out, FlagOfField(violation.field), ": ",
                                      violation.description);
                    }));
}

absl::StatusOr<v1::GenerationOptions> ToGenerationOptions(
    const GenerationFlags& flags) {
  v1::GenerationOptions options;
  if (flags.max_tokens) options.set_max_tokens(*flags.max_tokens);
  SetSampling(flags, &options);
  for (const std::string& text : flags.logit_bias) {
    TANDEM_RETURN_IF_ERROR(ParseLogitBias(text, options.add_logit_bias()));
  }
  if (flags.seed) {
    uint64_t seed = 0;
    if (!absl::SimpleAtoi(*flags.seed, &seed)) {
      return UsageError(absl::StrCat("--seed ", *flags.seed,
                                     ": write a number, 0 .. 2^64 - 1"));
    }
    options.set_seed(seed);
  }
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
