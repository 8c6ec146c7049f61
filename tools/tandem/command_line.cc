#include "tools/tandem/command_line.h"

#include <exception>
#include <optional>

#include "CLI/CLI.hpp"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "engine/base/status.h"
#include "services/common/server_flags.h"
#include "services/common/version.h"

namespace tandem::cli {
namespace {

constexpr char kReasonUsage[] = "USAGE";
constexpr char kReasonInterrupted[] = "INTERRUPTED";

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
  app->add_flag("--http-proxy", flags->http_proxy,
                "Connect through the proxy that https_proxy or http_proxy "
                "names, but for the hosts of no_proxy; without this flag "
                "these variables mean nothing")
      ->envname("TANDEM_HTTP_PROXY");
}

// The deepest subcommand that the arguments named.
const CLI::App* ChosenCommand(const CLI::App& app) {
  const CLI::App* command = &app;
  while (true) {
    const auto chosen = command->get_subcommands();
    if (chosen.empty()) return command;
    command = chosen.front();
  }
}

int PrintParseError(const CLI::App& app, const CLI::ParseError& error,
                    const Io& io) {
  const CLI::App* command = ChosenCommand(app);
  if (error.get_name() == "CallForHelp") {
    *io.out << (command == &app ? app.help() : command->help("tandem"));
    return kExitOk;
  }
  if (error.get_name() == "CallForVersion") {
    *io.out << "tandem " << kTandemVersion << "\n";
    return kExitOk;
  }
  std::string name = "tandem";
  if (command != &app) {
    const CLI::App* parent = command->get_parent();
    if (parent != &app) absl::StrAppend(&name, " ", parent->get_name());
    absl::StrAppend(&name, " ", command->get_name());
  }
  std::string what = error.what();
  if (command == &app && !app.remaining().empty()) {
    what =
        absl::StrCat("there is no command \"", app.remaining().front(), "\"");
  }
  *io.err << "tandem: " << OneLine(UsageError(what)) << " (see " << name
          << " --help)\n";
  return kExitUsage;
}

int ExitCode(const absl::Status& status) {
  if (status.ok()) return kExitOk;
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  if (detail && detail->reason == kReasonUsage) return kExitUsage;
  if (detail && detail->reason == kReasonInterrupted) return kExitInterrupted;
  return kExitFailed;
}

}  // namespace

absl::Status UsageError(absl::string_view message) {
  return MakeError(absl::StatusCode::kInvalidArgument,
                   {.reason = kReasonUsage, .violations = {}}, message);
}

absl::Status InterruptedError() {
  return MakeError(absl::StatusCode::kCancelled,
                   {.reason = kReasonInterrupted, .violations = {}},
                   "interrupted");
}

std::string OneLine(const absl::Status& status) {
  std::string text(status.message());
  if (text.empty()) text = absl::StatusCodeToString(status.code());
  return absl::StrReplaceAll(text, {{"\r", ""}, {"\n", " "}});
}

int RunCommandLine(int argc, const char* const* argv, const Io& io) {
  CommandLine line;
  CLI::App app(
      "Text from large language models, by a tandem coordinator.\n"
      "Exit codes: 0 done, 1 the operation failed, 2 wrong usage, "
      "130 interrupted.",
      "tandem");
  app.set_version_flag("--version", "");
  app.require_subcommand(1);
  app.fallthrough();  // --coordinator may stand after the subcommand
  AddConnectionFlags(&app, &line.connection);
  AddRunCommand(&app, &line);
  AddGenerateCommand(&app, &line);
  AddTokenizeCommand(&app, &line);
  AddDetokenizeCommand(&app, &line);
  AddModelsCommand(&app, &line);
  AddInspectCommand(&app, &line);
  AddQuantizeCommand(&app, &line);
  AddHealthCommand(&app, &line);
  AddBenchCommand(&app, &line);
  AddAdminCommand(&app, &line);
  try {  // CLI11 reports by exceptions; they end here.
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return PrintParseError(app, error, io);
  }
  const absl::Status status = line.run(io);
  const int code = ExitCode(status);
  if (code == kExitFailed || code == kExitUsage) {
    *io.err << "tandem: " << OneLine(status) << "\n";
  }
  io.out->flush();
  if (code == kExitOk && !io.out->good()) {
    *io.err << "tandem: cannot write to standard output\n";
    return kExitFailed;
  }
  return code;
}

}  // namespace tandem::cli
