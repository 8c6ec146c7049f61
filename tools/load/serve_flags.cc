#include "tools/load/serve.h"

#include <optional>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/status.h"
#include "engine/sampling/gen_options.h"
#include "services/common/channel.h"
#include "services/common/flag_values.h"
#include "tools/load/load_target.h"
#include "tools/tandem/base/command.h"
#include "tools/tandem/base/generation_flags.h"

namespace tandem::load {
namespace {

using cli::AddValue;
using cli::UsageError;

constexpr int64_t kTokensMax = 1 << 20;
constexpr double kSecondsMax = 7 * 24 * 3600;
constexpr std::chrono::seconds kDefaultDuration{10};
constexpr int kConnectionsMax = 64;
constexpr int kRoundsMax = 1000;

// "64" or "32..128".
std::optional<Range> ParseRange(absl::string_view text) {
  const std::vector<absl::string_view> ends = absl::StrSplit(text, "..");
  Range range;
  if (ends.size() > 2 || !absl::SimpleAtoi(ends.front(), &range.low) ||
      !absl::SimpleAtoi(ends.back(), &range.high) || range.low < 1 ||
      range.high < range.low || range.high > kTokensMax) {
    return std::nullopt;
  }
  return range;
}

void AddRange(CLI::App* command, const char* name, Range* range,
              const char* help) {
  const auto check = [](std::string& text) {
    if (ParseRange(text).has_value()) return std::string();
    return absl::StrCat(QuotedValue(text), " is not a number of tokens or ",
                        "LOW..HIGH, 1 .. ", kTokensMax);
  };
  const auto take = [range](const std::string& text) {
    *range = *ParseRange(text);
  };
  command->add_option_function<std::string>(name, take, help)
      ->take_last()
      ->check(CLI::Validator(check, ""))
      ->default_str(absl::StrCat(range->low));
}

// A time that is given as a number of `unit`s.
CLI::Option* AddTime(CLI::App* command, const char* name,
                     std::chrono::milliseconds* time,
                     std::chrono::milliseconds unit, const char* help) {
  const auto take = [time, unit](double number) {
    *time = std::chrono::milliseconds(
        static_cast<int64_t>(number * static_cast<double>(unit.count())));
  };
  return command->add_option_function<double>(name, take, help)
      ->take_last()
      ->check(Number(0, kSecondsMax));
}

absl::Status CheckServer(const ServeFlags& flags) {
  const LoadOptions& load = flags.load;
  const v1::GenerationOptions& options = flags.common.options();
  const bool is_openai = !flags.openai.empty();
  if (is_openai && flags.vocab == 0) {
    return UsageError(
        "--openai needs --vocab: the size of the server's vocabulary");
  }
  if (is_openai &&
      (load.turns > 1 || !flags.sweep.lengths.empty() ||
       options.has_draft_length() || options.has_draft_length_max() ||
       options.draft_sources() != v1::DRAFT_SOURCES_UNSPECIFIED ||
       options.has_response_format())) {
    return UsageError(
        "--turns, --sweep, --draft-length, --draft-length-max, "
        "--draft-sources, --json-schema and other formats of the reply need a "
        "tandem coordinator, not --openai");
  }
  const int sessions = load.rate > 0 ? load.sessions_max : load.sessions;
  const int limit =
      is_openai ? kOpenAiSessionsMax : flags.connections * kStreamsMax;
  if (sessions <= limit) return absl::OkStatus();
  return UsageError(absl::StrCat(
      load.rate > 0 ? "--sessions-max" : "--sessions", ": at most ", limit,
      " with ", is_openai ? "--openai" : "this number of --connections"));
}

void AddLoadFlags(CLI::App* command, ServeFlags* flags) {
  LoadOptions& load = flags->load;
  command->option_defaults()->group("Load");
  CLI::Option* sessions = AddValue(
      command, "--sessions", &load.sessions, WholeNumber(1, 65536),
      "Closed loop: sessions at once, each with one turn after the other");
  command
      ->add_option("--rate", load.rate,
                   "Open loop: sessions that begin per second, at random "
                   "(Poisson), whatever becomes of the earlier ones")
      ->check(Number(0.001, 1e5))
      ->excludes(sessions);
  AddValue(command, "--sessions-max", &load.sessions_max, WholeNumber(1, 65536),
           "With --rate: sessions at once at most; arrivals above that are "
           "skipped and counted");
  command
      ->add_option("--requests", load.requests,
                   "Turns in all; default: as many as --duration has time for")
      ->check(WholeNumber(int64_t{1}, int64_t{1} << 40));
  AddTime(command, "--duration", &load.duration, std::chrono::seconds(1),
          "Seconds, after which turns under way are cancelled; default 10 "
          "without --requests");
  AddTime(command, "--warmup", &load.warmup, std::chrono::seconds(1),
          "Seconds at the beginning that are not counted");
  AddTime(command, "--think-ms", &load.think, std::chrono::milliseconds(1),
          "Milliseconds between a turn and the session's next");
  AddValue(command, "--turns", &load.turns, WholeNumber(1, 1 << 20),
           "Turns of a session, which keeps its history; then a new one takes "
           "its place");
}

void AddTurnFlags(CLI::App* command, ServeFlags* flags) {
  LoadOptions& load = flags->load;
  command->option_defaults()->group("Turns");
  AddRange(command, "--prompt-tokens", &load.prompt_tokens,
           "Random tokens of a turn's prompt: N or LOW..HIGH");
  AddRange(command, "--output-tokens", &load.output_tokens,
           "Tokens to generate: N or LOW..HIGH");
  AddValue(command, "--shared-prefix", &load.shared_prefix_tokens,
           WholeNumber(0, kTokensMax),
           "Tokens that prompts of one group begin with, before their own");
  AddValue(command, "--prefix-groups", &load.prefix_groups,
           WholeNumber(1, 1 << 20), "Groups of sessions with a prefix each");
  AddValue(command, "--seed", &load.seed, AnyUnsigned(),
           "Of prompts, lengths, arrivals and of each turn's own seed");
  command->add_flag("--greedy", flags->greedy,
                    "Temperature 0 and no repetition penalty");
  command->add_flag("--stop-at-eos", flags->stop_at_eos,
                    "Lets the model end a turn, which goes on to its length "
                    "without this flag");
  cli::AddSamplingFlags(command, flags->common.mutable_options());
  cli::AddDraftFlags(command, flags->common.mutable_options());
  cli::AddResponseFormatFlags(command, &flags->response_format);
}

void AddServerChoice(CLI::App* command, ServeFlags* flags) {
  command->option_defaults()->group("Server");
  command->add_option("--openai", flags->openai,
                      "http://HOST:PORT of a server with /v1/completions, in "
                      "place of --coordinator");
  command->add_option("--model", *flags->common.mutable_model_id(),
                      "Id of the model; default: the server's only one");
  command
      ->add_option("--vocab", flags->vocab,
                   "Prompts have ids below this; default: what the coordinator "
                   "reports; needed with --openai")
      ->check(WholeNumber(8, 1 << 24));
  AddValue(command, "--connections", &flags->connections,
           WholeNumber(1, kConnectionsMax), "Connections that sessions share");
  command->option_defaults()->group("Options");
}

}  // namespace

void AddServeFlags(CLI::App* command, ServeFlags* flags) {
  AddLoadFlags(command, flags);
  AddTurnFlags(command, flags);
  AddServerChoice(command, flags);
  SweepOptions& sweep = flags->sweep;
  const auto take_lengths = [&sweep](const std::vector<std::string>& texts) {
    for (const std::string& text : texts) {
      int length = 0;
      sweep.lengths.push_back(
          absl::SimpleAtoi(text, &length) ? DraftLength(length) : std::nullopt);
    }
  };
  command
      ->add_option_function<std::vector<std::string>>(
          "--sweep", take_lengths,
          "Draft lengths with commas, e.g. 0,1,2,4,8,auto: runs each, round "
          "after round, and shows their ratios; with --json-schema or another "
          "format of the reply, each with it and without it")
      ->delimiter(',')
      ->check(AutoOrWholeNumber(0, kDraftLengthLimit));
  AddValue(command, "--rounds", &sweep.rounds, WholeNumber(1, kRoundsMax),
           "Runs of each length of --sweep");
  command->add_flag("--json", flags->json,
                    "Prints one object instead of a table");
  AddValue(command, "--progress", &flags->progress,
           OneOf({"auto", "line", "json", "off"}),
           "On standard error, once a second: line, json, off, or auto: line "
           "on a terminal, else off");
}

absl::StatusOr<ServeFlags> CheckServeFlags(ServeFlags flags,
                                           const cli::Io& io) {
  LoadOptions& load = flags.load;
  v1::GenerationOptions& options = *flags.common.mutable_options();
  TANDEM_RETURN_IF_ERROR(
      cli::ReadResponseFormat(flags.response_format, io, &options));
  flags.sweep.has_format = options.has_response_format();
  TANDEM_RETURN_IF_ERROR(CheckServer(flags));
  if (load.requests == 0 && load.duration.count() == 0) {
    load.duration = kDefaultDuration + load.warmup;
  }
  if (load.duration.count() > 0 && load.warmup >= load.duration) {
    return UsageError("--warmup is part of --duration and must be below it");
  }
  if (options.has_draft_length()) {
    if (!flags.sweep.lengths.empty()) {
      return UsageError("--sweep and --draft-length exclude each other");
    }
    load.draft_length = options.draft_length();
  }
  options.set_ignore_eos(!flags.stop_at_eos);
  if (flags.greedy) {
    if (options.has_temperature()) {
      return UsageError("--greedy and --temperature exclude each other");
    }
    options.set_temperature(0);
    options.set_repetition_penalty(1);
  }
  TANDEM_RETURN_IF_ERROR(cli::CheckGenerationOptions(options));
  return flags;
}

}  // namespace tandem::load
