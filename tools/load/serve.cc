#include "tools/load/serve.h"

#include <memory>
#include <string>
#include <utility>

#include "engine/base/status.h"
#include "services/common/flag_messages.h"
#include "tools/load/load_report.h"
#include "tools/load/load_run.h"
#include "tools/tandem/base/client.h"
#include "tools/tandem/base/connection.h"
#include "tools/tandem/base/interrupt.h"
#include "tools/tandem/base/key_input.h"
#include "tools/tandem/base/output.h"
#include "tools/tandem/base/terminal.h"

namespace tandem::load {
namespace {

using cli::ConnectionFlags;
using cli::Io;

absl::StatusOr<std::unique_ptr<LoadTarget>> ConnectTandem(
    const ServeFlags& flags, const ConnectionFlags& connection) {
  TANDEM_ASSIGN_OR_RETURN(
      client::ClientOptions options,
      cli::ServiceOptions("--coordinator", connection.coordinator, connection));
  options.resume_for = absl::ZeroDuration();  // a lost connection is a failure
  std::vector<std::unique_ptr<client::Client>> clients;
  for (int i = 0; i < flags.connections; ++i) {
    auto client = client::Client::Make(options);
    if (!client.ok()) return cli::UsageError(client.status().message());
    clients.push_back(*std::move(client));
  }
  return MakeTandemTarget(std::move(clients), flags.common);
}

// What --progress asks for; empty: nothing.
std::function<void(const LoadProgress&)> ProgressPrinter(absl::string_view kind,
                                                         cli::StatusLine* line,
                                                         std::ostream* err) {
  if (kind == "off") return nullptr;
  return [kind, line, err](const LoadProgress& progress) {
    const cli::Json json = ProgressJson(progress);
    if (kind == "line") {
      line->Show(cli::OneLine(json));
    } else {
      cli::PrintJson(json, err);
      err->flush();
    }
  };
}

// Makes the load and reports what was seen of it, also after Ctrl-C.
cli::Json RunLoads(const ServeFlags& flags, int vocab_size, LoadTarget* target,
                   const std::function<void(const LoadProgress&)>& on_progress,
                   cli::Interrupt* interrupt) {
  const auto run_once = [&](const LoadOptions& options) {
    LoadRun run(options, TurnSource(options, vocab_size), target, on_progress);
    interrupt->SetUnderWay([&run] { run.Stop(); });
    LoadFigures figures = run.Run();
    interrupt->SetUnderWay(nullptr);
    return figures;
  };
  if (flags.sweep.lengths.empty()) return LoadJson(run_once(flags.load));
  const auto run_whole =
      [&](const LoadOptions& options) -> std::optional<LoadFigures> {
    LoadFigures figures = run_once(options);
    // A run that Ctrl-C cut short counts no round.
    if (interrupt->came()) return std::nullopt;
    return figures;
  };
  return {{"sweep", SweepJson(RunSweep(flags.load, flags.sweep, run_whole))}};
}

absl::Status RunServe(const ServeFlags& given,
                      const ConnectionFlags& given_connection, const Io& io) {
  TANDEM_ASSIGN_OR_RETURN(const ServeFlags flags, CheckServeFlags(given, io));
  cli::Interrupt interrupt;
  const bool is_tandem = flags.openai.empty();
  ConnectionFlags connection = given_connection;
  if (is_tandem) {  // of several connections the first would take the input
    TANDEM_ASSIGN_OR_RETURN(connection.key, cli::ReadKey(connection));
  }
  int vocab_size = flags.vocab;
  if (is_tandem && vocab_size == 0) {
    TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<cli::Client> client,
                            cli::Client::Make(connection));
    TANDEM_ASSIGN_OR_RETURN(const v1::ModelInfo model,
                            client->FindModel(flags.common.model_id()));
    vocab_size = model.vocab_size();
  }
  if (vocab_size <= kFirstPromptToken) {
    return absl::FailedPreconditionError(
        "the vocabulary is too small to draw prompts from");
  }
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<LoadTarget> target,
                          is_tandem
                              ? ConnectTandem(flags, connection)
                              : MakeOpenAiTarget(flags.openai, flags.common));
  std::string progress = flags.progress;
  if (progress == "auto") progress = io.err_is_terminal ? "line" : "off";
  if (interrupt.came()) return cli::InterruptedError();
  cli::StatusLine line(io.err);
  const cli::Json report =
      RunLoads(flags, vocab_size, target.get(),
               ProgressPrinter(progress, &line, io.err), &interrupt);
  line.Clear();
  if (flags.json) {
    cli::PrintJson(report, io.out);
  } else if (flags.sweep.lengths.empty()) {
    cli::PrintReport(report, io.out);
  } else {
    cli::PrintReport({{"sweep", SweepSummary(report["sweep"])}}, io.out);
  }
  return interrupt.came() ? cli::InterruptedError() : absl::OkStatus();
}

}  // namespace

void AddServeCommand(CLI::App* app, cli::CommandLine* line) {
  auto flags = std::make_shared<ServeFlags>();
  CLI::App* command = app->add_subcommand(
      "serve",
      "Load against a running coordinator, or against another server with an "
      "OpenAI API: times to the first token, between tokens and of turns, "
      "throughput, what speculation did, errors. Ctrl-C ends it early with a "
      "report.");
  AddServeFlags(command, flags.get());
  SetExamples(command, {"tandem bench serve --sessions 8 --duration 30",
                        "tandem bench serve --rate 2 --requests 100 --json",
                        "tandem bench serve --sweep 0,2,4,auto --rounds 5",
                        "tandem bench serve --json-schema reply.json "
                        "--output-tokens 500",
                        "tandem bench serve --openai http://127.0.0.1:8080 "
                        "--vocab 32000"});
  RunWhenChosen(command, flags, RunServe, line);
}

}  // namespace tandem::load
