#include "tools/tandem/serve_flags.h"

#include <algorithm>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/status.h"
#include "services/common/channel.h"
#include "services/common/flag_messages.h"
#include "services/common/flag_values.h"
#include "tools/load/openai_target.h"
#include "tools/tandem/command_line.h"
#include "tools/tandem/generation_flags.h"

namespace tandem::cli {
namespace {

constexpr int64_t kTokensMax = 1 << 20;
constexpr double kSecondsMax = 7 * 24 * 3600;
constexpr double kDefaultSeconds = 10;
constexpr int kDraftLengthMax = 16;
constexpr int kConnectionsMax = 64;
constexpr int kRoundsMax = 1000;

std::chrono::milliseconds Seconds(double seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(seconds * 1000));
}

// "64" or "32..128".
absl::StatusOr<load::Range> ParseRange(absl::string_view flag,
                                       absl::string_view text) {
  const std::vector<absl::string_view> ends = absl::StrSplit(text, "..");
  load::Range range;
  if (ends.size() > 2 || !absl::SimpleAtoi(ends.front(), &range.low) ||
      !absl::SimpleAtoi(ends.back(), &range.high) || range.low < 1 ||
      range.high < range.low || range.high > kTokensMax) {
    return UsageError(absl::StrCat(flag, " ", QuotedValue(text),
                                   ": write a number of tokens or LOW..HIGH, 1 "
                                   ".. ",
                                   kTokensMax));
  }
  return range;
}

absl::StatusOr<load::DraftLength> ParseLength(absl::string_view flag,
                                              absl::string_view text) {
  if (text == "auto") return load::DraftLength();
  int length = 0;
  if (!absl::SimpleAtoi(text, &length) || length < 0 ||
      length > kDraftLengthMax) {
    return UsageError(absl::StrCat(flag, " ", QuotedValue(text),
                                   ": write auto or a number, 0 .. ",
                                   kDraftLengthMax));
  }
  return load::DraftLength(length);
}

absl::Status CheckOpenAi(const ServeFlags& flags) {
  if (flags.openai.empty()) return absl::OkStatus();
  if (!flags.sweep.empty() || flags.draft_length || flags.draft_sources) {
    return UsageError(
        "--sweep, --draft-length and --draft-sources need a tandem "
        "coordinator, not --openai");
  }
  if (flags.load.turns > 1) {
    return UsageError(
        "--turns needs a tandem coordinator: other servers keep no history");
  }
  const int sessions =
      flags.load.rate > 0 ? flags.load.sessions_max : flags.load.sessions;
  if (sessions > load::kOpenAiSessionsMax) {
    return UsageError(absl::StrCat("--openai takes at most ",
                                   load::kOpenAiSessionsMax,
                                   " sessions at once, see --sessions",
                                   flags.load.rate > 0 ? "-max" : ""));
  }
  return absl::OkStatus();
}

absl::StatusOr<load::LoadOptions> LoadOf(const ServeFlags& flags) {
  load::LoadOptions load = flags.load;
  TANDEM_ASSIGN_OR_RETURN(load.prompt_tokens,
                          ParseRange("--prompt-tokens", flags.prompt_tokens));
  TANDEM_ASSIGN_OR_RETURN(load.output_tokens,
                          ParseRange("--output-tokens", flags.output_tokens));
  load.duration = Seconds(flags.duration_s);
  if (load.requests == 0 && flags.duration_s == 0) {
    load.duration = Seconds(kDefaultSeconds + flags.warmup_s);
  }
  load.warmup = Seconds(flags.warmup_s);
  load.think = std::chrono::milliseconds(flags.think_ms);
  if (load.duration.count() > 0 && load.warmup >= load.duration) {
    return UsageError("--warmup is part of --duration and must be below it");
  }
  return load;
}

absl::Status CheckConnections(const ServeFlags& flags) {
  const int sessions =
      flags.load.rate > 0 ? flags.load.sessions_max : flags.load.sessions;
  const int per_connection =
      (sessions + flags.connections - 1) / flags.connections;
  if (flags.openai.empty() && per_connection > kStreamsMax) {
    return UsageError(absl::StrCat("--connections: one takes at most ",
                                   kStreamsMax, " sessions"));
  }
  return absl::OkStatus();
}

absl::StatusOr<load::SweepOptions> SweepOf(const ServeFlags& flags) {
  load::SweepOptions sweep = {.lengths = {}, .rounds = flags.rounds};
  if (flags.sweep.empty()) return sweep;
  if (flags.draft_length) {
    return UsageError("--sweep and --draft-length exclude each other");
  }
  for (const absl::string_view text : absl::StrSplit(flags.sweep, ',')) {
    TANDEM_ASSIGN_OR_RETURN(const load::DraftLength length,
                            ParseLength("--sweep", text));
    if (std::find(sweep.lengths.begin(), sweep.lengths.end(), length) !=
        sweep.lengths.end()) {
      return UsageError(absl::StrCat("--sweep: ", text, " stands twice"));
    }
    sweep.lengths.push_back(length);
  }
  return sweep;
}

void AddLoadFlags(CLI::App* command, ServeFlags* flags) {
  load::LoadOptions& load = flags->load;
  const auto group = [](CLI::Option* option) { option->group("Load"); };
  CLI::Option* sessions =
      command
          ->add_option("--sessions", load.sessions,
                       "Closed loop: sessions at once, each with one turn "
                       "after the other")
          ->check(WholeNumber(1, 65536))
          ->capture_default_str();
  group(sessions);
  group(command
            ->add_option("--rate", load.rate,
                         "Open loop: sessions that begin per second, at random "
                         "(Poisson), whatever becomes of the earlier ones")
            ->check(Number(0.001, 1e5))
            ->excludes(sessions));
  group(command
            ->add_option("--sessions-max", load.sessions_max,
                         "With --rate: sessions at once at most; arrivals "
                         "above that are skipped and counted")
            ->check(WholeNumber(1, 65536))
            ->capture_default_str());
  group(command
            ->add_option("--requests", load.requests,
                         "Turns in all; default: as many as --duration has "
                         "time for")
            ->check(WholeNumber(int64_t{1}, int64_t{1} << 40)));
  group(command
            ->add_option("--duration", flags->duration_s,
                         "Seconds, after which turns under way are cancelled; "
                         "default 10 without --requests")
            ->check(Number(0.1, kSecondsMax)));
  group(command
            ->add_option("--warmup", flags->warmup_s,
                         "Seconds at the beginning that are not counted")
            ->check(Number(0.0, kSecondsMax))
            ->capture_default_str());
  group(command
            ->add_option("--think-ms", flags->think_ms,
                         "Milliseconds between a turn and the session's next")
            ->check(WholeNumber(0, 86400000))
            ->capture_default_str());
  group(command
            ->add_option("--turns", load.turns,
                         "Turns of a session, which keeps its history; then a "
                         "new one takes its place")
            ->check(WholeNumber(1, 1 << 20))
            ->capture_default_str());
}

void AddPromptFlags(CLI::App* command, ServeFlags* flags) {
  load::LoadOptions& load = flags->load;
  const auto group = [](CLI::Option* option) { option->group("Turns"); };
  group(command
            ->add_option("--prompt-tokens", flags->prompt_tokens,
                         "Random tokens of a turn's prompt: N or LOW..HIGH")
            ->capture_default_str());
  group(command
            ->add_option("--output-tokens", flags->output_tokens,
                         "Tokens to generate: N or LOW..HIGH")
            ->capture_default_str());
  group(command
            ->add_option("--shared-prefix", load.shared_prefix_tokens,
                         "Tokens that prompts of one group begin with, before "
                         "their own")
            ->check(WholeNumber(int64_t{0}, kTokensMax))
            ->capture_default_str());
  group(command
            ->add_option("--prefix-groups", load.prefix_groups,
                         "Groups of sessions with a prefix each")
            ->check(WholeNumber(1, 1 << 20))
            ->capture_default_str());
  group(command
            ->add_option("--seed", load.seed,
                         "Of prompts, lengths, arrivals and of each turn's own "
                         "seed")
            ->check(AnyUnsigned())
            ->capture_default_str());
  group(command
            ->add_option("--temperature", flags->temperature,
                         "Default: the server's")
            ->check(TemperatureValue()));
  group(command->add_option("--top-p", flags->top_p, "Default: the server's")
            ->check(TopPValue()));
  group(command->add_option("--top-k", flags->top_k, "Default: the server's")
            ->check(TopKValue()));
  group(command->add_flag("--greedy", flags->greedy,
                          "Temperature 0 and no repetition penalty"));
  group(command->add_flag("--stop-at-eos", flags->stop_at_eos,
                          "Let the model end a turn; else it goes on to its "
                          "length"));
  group(command
            ->add_option("--draft-length", flags->draft_length,
                         "Tokens drafted a round; default auto")
            ->check(AutoOrWholeNumber(0, kDraftLengthMax)));
  group(command
            ->add_option("--draft-sources", flags->draft_sources,
                         "Where drafts come from; default any")
            ->check(OneOf({"any", "model", "lookup"})));
}

void AddServerChoice(CLI::App* command, ServeFlags* flags) {
  const auto group = [](CLI::Option* option) { option->group("Server"); };
  group(command->add_option("--openai", flags->openai,
                            "http://HOST:PORT of a server with "
                            "/v1/completions, in place of --coordinator"));
  group(command
            ->add_option("--call", flags->call,
                         "converse (a stream per session) or generate (a call "
                         "per turn)")
            ->check(OneOf({"converse", "generate"}))
            ->capture_default_str());
  group(command->add_option("--model", flags->model,
                            "Id of the model; default: the server's only one"));
  group(command
            ->add_option("--vocab", flags->vocab,
                         "Prompts have ids below this; default: what the "
                         "server tells of its vocabulary")
            ->check(WholeNumber(8, 1 << 24)));
  group(command
            ->add_option("--connections", flags->connections,
                         "Connections that sessions share")
            ->check(WholeNumber(1, kConnectionsMax))
            ->capture_default_str());
}

}  // namespace

void AddServeFlags(CLI::App* command, ServeFlags* flags) {
  AddLoadFlags(command, flags);
  AddPromptFlags(command, flags);
  AddServerChoice(command, flags);
  command->add_option("--sweep", flags->sweep,
                      "Draft lengths with commas, e.g. 0,1,2,4,8,auto: runs "
                      "each, round after round, and shows their ratios");
  command
      ->add_option("--rounds", flags->rounds, "Runs of each length of --sweep")
      ->check(WholeNumber(1, kRoundsMax))
      ->capture_default_str();
  command->add_flag("--json", flags->json,
                    "Prints one object instead of a table");
  command
      ->add_option("--progress", flags->progress,
                   "On standard error, once a second: line, json, off, or "
                   "auto: line on a terminal, else off")
      ->check(OneOf({"auto", "line", "json", "off"}))
      ->capture_default_str();
}

absl::StatusOr<ServePlan> PlanOf(const ServeFlags& flags) {
  TANDEM_RETURN_IF_ERROR(CheckOpenAi(flags));
  TANDEM_RETURN_IF_ERROR(CheckConnections(flags));
  ServePlan plan;
  TANDEM_ASSIGN_OR_RETURN(plan.load, LoadOf(flags));
  TANDEM_ASSIGN_OR_RETURN(plan.sweep, SweepOf(flags));
  if (flags.draft_length) {
    TANDEM_ASSIGN_OR_RETURN(plan.load.draft_length,
                            ParseLength("--draft-length", *flags.draft_length));
  }
  if (flags.greedy && flags.temperature) {
    return UsageError("--greedy and --temperature exclude each other");
  }
  GenerationFlags generation;
  generation.temperature = flags.greedy ? 0.0f : flags.temperature;
  if (flags.greedy) generation.repetition_penalty = 1.0f;
  generation.top_p = flags.top_p;
  generation.top_k = flags.top_k;
  generation.ignore_eos = !flags.stop_at_eos;
  generation.draft_sources = flags.draft_sources;
  TANDEM_ASSIGN_OR_RETURN(plan.generation, ToGenerationOptions(generation));
  plan.call = flags.call == "generate" ? load::TandemCall::kGenerate
                                       : load::TandemCall::kConverse;
  plan.completion = {.model = flags.model,
                     .temperature = generation.temperature,
                     .top_p = flags.top_p,
                     .top_k = flags.top_k,
                     .stops_at_eos = flags.stop_at_eos};
  return plan;
}

}  // namespace tandem::cli
