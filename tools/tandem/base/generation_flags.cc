#include "tools/tandem/base/generation_flags.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/status.h"
#include "engine/sampling/gen_options.h"
#include "services/common/flag_values.h"
#include "services/common/options_conversion.h"
#include "tools/tandem/base/service_terms.h"
#include "tools/tandem/base/text_input.h"

namespace tandem::cli {
namespace {

using Options = v1::GenerationOptions;

constexpr char kGroup[] = "Generation";
constexpr int64_t kInt32Max = std::numeric_limits<int32_t>::max();

// Adds scalar flags to one command, for one Options.
struct ScalarAdder {
  CLI::App* command;
  Options* options;

  template <typename T>
  void operator()(const char* name, void (Options::*set)(T),
                  const CLI::Validator& check, const char* help) const {
    const auto take = [options = options, set](const T& value) {
      (options->*set)(value);
    };
    command->add_option_function<T>(name, take, help)
        ->take_last()
        ->check(check)
        ->group(kGroup);
  }
};

// A flag that may be repeated; `add` gets each value.
template <typename T, typename Add>
CLI::Option* AddRepeated(CLI::App* command, const char* name, Add add,
                         const char* help) {
  const auto take = [add](const std::vector<T>& values) {
    for (const T& value : values) add(value);
  };
  return command->add_option_function<std::vector<T>>(name, take, help)
      ->expected(1)
      ->take_all()
      ->group(kGroup);
}

// "42=-5"
std::optional<v1::LogitBias> ParseLogitBias(const std::string& text) {
  const std::vector<std::string> parts =
      absl::StrSplit(text, absl::MaxSplits('=', 1));
  int32_t id = 0;
  float value = 0;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &id) ||
      !absl::SimpleAtof(parts[1], &value)) {
    return std::nullopt;
  }
  v1::LogitBias bias;
  bias.set_token_id(id);
  bias.set_bias(value);
  return bias;
}

CLI::Validator LogitBiasValue() {
  return CLI::Validator(
      [](std::string& text) {
        if (ParseLogitBias(text).has_value()) return std::string();
        return absl::StrCat(QuotedValue(text),
                            " is not of the form ID=BIAS, "
                            "e.g. 42=-5 or 42=-inf");
      },
      "");
}

}  // namespace

void AddSamplingFlags(CLI::App* command, Options* options) {
  const ScalarAdder add = {.command = command, .options = options};
  add("--temperature", &Options::set_temperature, Number(0, 100),
      "0 is greedy; default 0.7");
  add("--top-p", &Options::set_top_p, Number(0, 1),
      "Keep the fewest tokens with this probability, above 0; 1 is off; "
      "default 0.9");
  add("--top-k", &Options::set_top_k, WholeNumber(0, kInt32Max),
      "Keep this many tokens; 0 is off; default 40");
}

void AddDraftFlags(CLI::App* command, Options* options) {
  const auto set_length = [options](const std::string& text) {
    int32_t length = 0;
    options->clear_draft_length();  // auto
    if (absl::SimpleAtoi(text, &length)) options->set_draft_length(length);
  };
  command
      ->add_option_function<std::string>(
          "--draft-length", set_length,
          "Tokens drafted per round; 0: no speculation; auto: as many as are "
          "fastest; never changes the text; default auto")
      ->take_last()
      ->check(AutoOrWholeNumber(0, kDraftLengthLimit))
      ->group(kGroup);
  ScalarAdder{.command = command, .options = options}(
      "--draft-length-max", &Options::set_draft_length_max,
      WholeNumber(0, kDraftLengthLimit),
      "The most that auto drafts; default 16");
  const auto set_sources = [options](const std::string& name) {
    options->set_draft_sources(name == "model" ? v1::DRAFT_SOURCES_MODEL
                               : name == "lookup"
                                   ? v1::DRAFT_SOURCES_LOOKUP
                                   : v1::DRAFT_SOURCES_UNSPECIFIED);
  };
  command
      ->add_option_function<std::string>(
          "--draft-sources", set_sources,
          "Where drafts come from: model (a draft model), lookup (the "
          "session's own text) or any; default any")
      ->take_last()
      ->check(OneOf({"any", "model", "lookup"}))
      ->group(kGroup);
}

void AddChoiceFlag(CLI::App* command, Options* options) {
  ScalarAdder{.command = command, .options = options}(
      "--choice-index", &Options::set_choice, WholeNumber(0, kChoicesLimit - 1),
      "Which of the replies that the seed has for the prompt: each has noise "
      "of its own, greedy ones are all the same; default 0");
}

void AddGenerationFlags(CLI::App* command, Options* options) {
  const ScalarAdder add = {.command = command, .options = options};
  add("--max-tokens", &Options::set_max_tokens, WholeNumber(1, kMaxTokensLimit),
      "Tokens to generate at most; default 512");
  add("--min-tokens", &Options::set_min_tokens, WholeNumber(0, kMaxTokensLimit),
      "Tokens to generate before a token may end the turn; default 0");
  AddSamplingFlags(command, options);
  add("--min-p", &Options::set_min_p, Number(0, 1),
      "Drop tokens below this share of the best one's probability; 0 is off; "
      "default 0");
  add("--repetition-penalty", &Options::set_repetition_penalty, Number(0, 10),
      "Above 0; 1 is off; default 1.1");
  add("--presence-penalty", &Options::set_presence_penalty, Number(-10, 10),
      "Of tokens that this turn has; default 0");
  add("--frequency-penalty", &Options::set_frequency_penalty, Number(-10, 10),
      "The same for each time; default 0");
  AddRepeated<std::string>(
      command, "--logit-bias",
      [options](const std::string& text) {
        *options->add_logit_bias() = *ParseLogitBias(text);
      },
      "ID=BIAS: added to a token's logit, -1000 .. 1000, or -inf, which bans "
      "it; may be repeated")
      ->check(LogitBiasValue());
  add("--seed", &Options::set_seed, AnyUnsigned(),
      "Default: one is drawn (--stats and --json show it)");
  AddRepeated<int32_t>(
      command, "--stop-token",
      [options](int32_t id) { options->add_stop_token_ids(id); },
      "Token id that ends the turn; may be repeated, up to 255 times")
      ->check(WholeNumber(0, kInt32Max));
  AddRepeated<std::string>(
      command, "--stop",
      [options](const std::string& text) { options->add_stop_strings(text); },
      "Text that ends the turn, which is cut before it, or the name of a "
      "control token; may be repeated");
  command
      ->add_flag_callback(
          "--ignore-eos", [options] { options->set_ignore_eos(true); },
          "Go on past the model's own end of text")
      ->group(kGroup);
  add("--logprobs", &Options::set_logprobs, WholeNumber(0, kLogprobsLimit),
      "With --json: log-probabilities of each token and of this many "
      "alternatives");
  AddDraftFlags(command, options);
}

absl::Status CheckGenerationOptions(const Options& options) {
  for (const std::string& text : options.stop_strings()) {
    TANDEM_RETURN_IF_ERROR(CheckUtf8(text, "text of --stop"));
  }
  // The service's own check; that token ids are in the vocabulary is for the
  // service, which knows the vocabulary.
  return InFlagTerms(
      ParseGenOptions(options, std::numeric_limits<int32_t>::max()).status(),
      {});
}

}  // namespace tandem::cli
