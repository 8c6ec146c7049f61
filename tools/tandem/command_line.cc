#include "tools/tandem/command_line.h"

#include <algorithm>
#include <optional>

#include "CLI/CLI.hpp"
#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "services/common/flag_messages.h"
#include "services/common/manual/man_page.h"
#include "services/common/server_flags.h"
#include "services/common/version.h"
#include "tools/tandem/score/perplexity.h"
#include "tools/tandem/score/score.h"
#include "tools/tandem/turns/turn_commands.h"

namespace tandem::cli {
namespace {

void AddConnectionFlags(CLI::App* app, ConnectionFlags* flags) {
  app->add_option("--coordinator", flags->coordinator,
                  "Address of the coordinator: host:port or unix:PATH")
      ->envname("TANDEM_COORDINATOR")
      ->capture_default_str();
  app->add_option("--tls-ca", flags->tls.ca,
                  "PEM file with the authority that signed the server's "
                  "certificate; turns TLS on")
      ->envname("TANDEM_TLS_CA");
  app->add_option("--tls-cert", flags->tls.cert,
                  "PEM file with the client's certificate, for mutual TLS")
      ->envname("TANDEM_TLS_CERT");
  app->add_option("--tls-key", flags->tls.key,
                  "PEM file with the key of --tls-cert")
      ->envname("TANDEM_TLS_KEY");
  app->add_option("--key-file", flags->key_file,
                  "File with the API key, which only its owner may read; \"-\" "
                  "reads a line of standard input")
      ->envname("TANDEM_KEY_FILE");
  app->add_flag("--http-proxy", flags->http_proxy,
                "Connect through the proxy that https_proxy or http_proxy "
                "names, but for the hosts of no_proxy; without this flag "
                "these variables mean nothing")
      ->envname("TANDEM_HTTP_PROXY");
}

// What people type by habit, and what leads there.
struct Habit {
  const char* word;
  const char* hint;
};
constexpr char kServes[] = "`tandem up MODEL` serves a model on this machine";
constexpr char kDownloadsNothing[] =
    "tandem downloads nothing: a model is a GGUF file, as huggingface.co has "
    "them, which `tandem up FILE` serves";
constexpr Habit kHabits[] = {
    {"complete", "use `tandem generate`"},
    {"convert", "`tandem quantize` writes a smaller file of a GGUF file"},
    {"list", "`tandem models` lists what is served"},
    {"ls", "`tandem models` lists what is served"},
    {"ps", "`tandem status` shows workers, load and sessions"},
    {"pull", kDownloadsNothing},
    {"top", "use `tandem status`"},
    {"server", kServes},
    {"serve", kServes},
    {"start", kServes},
};

// "": none.
std::string HintOf(absl::string_view word) {
  for (const Habit& habit : kHabits) {
    if (word == habit.word) return habit.hint;
  }
  return "";
}

// `tandem help [COMMAND...]` and `tandem version` as flags.
std::vector<std::string> WithoutHabits(std::vector<std::string> arguments) {
  if (arguments.empty()) return {"--help"};
  if (arguments[0] == "version" && arguments.size() == 1) return {"--version"};
  if (arguments[0] == "help") {
    arguments.erase(arguments.begin());
    arguments.push_back("--help");
  }
  return arguments;
}

int PrintParseError(const CLI::App& app, const CLI::ParseError& error,
                    const std::vector<std::string>& arguments, const Io& io) {
  const CLI::App* command = ChosenCommand(app);
  // `tandem nonsense --help`: there is no help of it.
  const std::vector<std::string> left = app.remaining(/*recurse=*/true);
  const bool is_known = command->get_subcommands({}).empty() || left.empty();
  if (error.get_name() == "CallForHelp" && is_known) {
    *io.out << HelpText(*command);
    return kExitOk;
  }
  if (error.get_name() == "CallForVersion") {
    *io.out << "tandem " << kTandemVersion << "\n";
    return kExitOk;
  }
  std::string hint;
  if (!is_known && command == &app) hint = HintOf(left.front());
  if (!hint.empty()) {
    *io.err << "tandem: there is no command \"" << left.front()
            << "\": " << hint << " (see tandem --help)\n";
    return kExitUsage;
  }
  *io.err << "tandem: "
          << FlagErrorMessage(app, is_known ? error : CLI::ExtrasError(left),
                              {.arguments = arguments})
          << "\n";
  return kExitUsage;
}

void AddCommands(CLI::App* app, CommandLine* line) {
  AddUpCommand(app, line);
  AddRunCommand(app, line);
  AddChatCommand(app, line);
  AddGenerateCommand(app, line);
  AddBatchCommand(app, line);
  AddReplayCommand(app, line);
  AddScoreCommand(app, line);
  AddPerplexityCommand(app, line);
  AddTokenizeCommand(app, line);
  AddDetokenizeCommand(app, line);
  AddModelsCommand(app, line);
  AddStatusCommand(app, line);
  AddSessionsCommand(app, line);
  AddInspectCommand(app, line);
  AddQuantizeCommand(app, line);
  AddHealthCommand(app, line);
  AddBenchCommand(app, line);
  AddAdminCommand(app, line);
  AddKeysCommand(app, line);
  AddCompletionCommand(app, line);
  SetExamples(app, {"tandem up model.gguf", "tandem chat",
                    "tandem run model.gguf 'Once upon a time'"});
}

// Of errors in what the user has given, whoever found them: this program, the
// service or an engine in this process.
bool IsUsage(const ErrorDetail& detail) {
  for (const char* reason :
       {kReasonUsage, kReasonInvalidOptions, kReasonEmptyPrompt,
        kReasonInvalidToken, kReasonInvalidText}) {
    if (detail.reason == reason) return true;
  }
  // A model must be named; one that is not served is no mistake of usage.
  return detail.reason == kReasonUnknownModel && !detail.violations.empty();
}

int ExitCode(const absl::Status& status) {
  if (status.ok()) return kExitOk;
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  if (detail && IsUsage(*detail)) return kExitUsage;
  if (detail && detail->reason == kReasonInterrupted) return kExitInterrupted;
  return kExitFailed;
}

}  // namespace

std::optional<int> ParseCommandLine(const std::vector<std::string>& arguments,
                                    const Io& io, CommandLine* line) {
  CLI::App app(
      "Text from large language models, by a tandem coordinator.\n"
      "Exit codes: 0 done, 1 the operation failed, 2 wrong usage, "
      "130 interrupted.",
      "tandem");
  app.set_version_flag("-v,--version", "");
  app.require_subcommand(1);
  app.option_defaults()->take_last();
  app.fallthrough();  // --coordinator may stand after the subcommand
  AddConnectionFlags(&app, &line->connection);
  AddCommands(&app, line);
  if (arguments == std::vector<std::string>{kManFlag}) {
    *io.out << ManPage(DescribeCommand(app), kTandemVersion);
    return kExitOk;
  }
  const std::vector<std::string> meant = WithoutHabits(arguments);
  try {  // CLI11 reports by exceptions; they end here.
    // It takes them from the back.
    app.parse(std::vector<std::string>(meant.rbegin(), meant.rend()));
  } catch (const CLI::ParseError& error) {
    return PrintParseError(app, error, meant, io);
  }
  return std::nullopt;
}

int RunCommandLine(int argc, const char* const* argv, const Io& io) {
  CommandLine line;
  if (const std::optional<int> code = ParseCommandLine(
          {argv + std::min(argc, 1), argv + argc}, io, &line)) {
    return *code;
  }
  const absl::Status status = line.run(io);
  const int code = ExitCode(status);
  if (code == kExitFailed || code == kExitUsage) {
    *io.err << "tandem: " << OneLine(status) << "\n";
  }
  return code;
}

}  // namespace tandem::cli
