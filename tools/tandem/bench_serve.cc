#include "tools/tandem/bench_serve.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "engine/base/status.h"
#include "services/common/flag_messages.h"
#include "services/common/signals.h"
#include "tools/load/load_run.h"
#include "tools/load/openai_target.h"
#include "tools/load/sweep.h"
#include "tools/load/tandem_target.h"
#include "tools/tandem/client.h"
#include "tools/tandem/connection.h"
#include "tools/tandem/load_report.h"
#include "tools/tandem/serve_flags.h"
#include "tools/tandem/service_terms.h"

namespace tandem::cli {
namespace {

// Hands Ctrl-C to whichever run is under way.
class RunStopper {
 public:
  // Null: none. True where Ctrl-C came before: `run` is not to begin.
  bool Watch(load::LoadRun* run) {
    absl::MutexLock lock(&mutex_);
    run_ = run;
    return stopped_;
  }
  void Stop() {
    absl::MutexLock lock(&mutex_);
    stopped_ = true;
    if (run_ != nullptr) run_->Stop();
  }

 private:
  absl::Mutex mutex_;
  load::LoadRun* run_ ABSL_GUARDED_BY(mutex_) = nullptr;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

// Where a load goes: the target and what prompts must know of it.
struct Server {
  std::unique_ptr<load::LoadTarget> target;
  int vocab_size = 0;
};

absl::StatusOr<Server> ConnectOpenAi(const ServeFlags& flags,
                                     const ServePlan& plan) {
  auto target = load::OpenAiTarget::Create(flags.openai, plan.completion);
  if (!target.ok()) return UsageError(target.status().message());
  Server server;
  server.vocab_size = flags.vocab;
  if (flags.vocab == 0) {
    const absl::StatusOr<int> told = (*target)->AskVocabSize();
    if (absl::IsNotFound(told.status())) {
      return UsageError(
          absl::StrCat(told.status().message(), ": give it with --vocab"));
    }
    if (!told.ok()) return told.status();
    server.vocab_size = *told;
  }
  server.target = *std::move(target);
  return server;
}

absl::StatusOr<int> AskVocabSize(const ConnectionFlags& connection,
                                 const std::string& model) {
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                          Client::Make(connection));
  TANDEM_ASSIGN_OR_RETURN(const v1::ListModelsResponse models,
                          client->ListModels());
  if (model.empty() && models.models_size() > 1) {
    return UsageError(absl::StrCat(
        "--model: must name one of ",
        absl::StrJoin(models.models(), ", ",
                      [](std::string* out, const v1::ModelInfo& info) {
                        absl::StrAppend(out, info.model_id());
                      })));
  }
  for (const v1::ModelInfo& info : models.models()) {
    if (model.empty() || info.model_id() == model) return info.vocab_size();
  }
  return NotServed({.model_flag = "--model", .model_id = model});
}

absl::StatusOr<Server> ConnectTandem(const ConnectionFlags& connection,
                                     const ServeFlags& flags,
                                     const ServePlan& plan) {
  Server server;
  TANDEM_ASSIGN_OR_RETURN(server.vocab_size,
                          AskVocabSize(connection, flags.model));
  if (flags.vocab > 0) server.vocab_size = flags.vocab;
  load::TandemTargetOptions options;
  for (int i = 0; i < flags.connections; ++i) {
    TANDEM_ASSIGN_OR_RETURN(
        std::shared_ptr<grpc::Channel> channel,
        Connect("--coordinator", connection.coordinator, connection));
    options.channels.push_back(std::move(channel));
  }
  options.call = plan.call;
  options.model_id = flags.model;
  options.generation = plan.generation;
  server.target = std::make_unique<load::TandemTarget>(std::move(options));
  return server;
}

// What --progress asks for; ended by a clean line.
class Progress {
 public:
  Progress(const std::string& kind, const Io& io) : io_(io) {
    kind_ = kind == "auto" ? (io.err_is_terminal ? "line" : "off") : kind;
  }
  ~Progress() {
    if (line_is_open_) *io_.err << "\n";
  }

  void Tell(const load::LoadProgress& progress) {
    if (kind_ == "line") {
      // Takes what was longer away.
      *io_.err << "\r" << ProgressText(progress) << "\x1b[K" << std::flush;
      line_is_open_ = true;
    } else if (kind_ == "json") {
      PrintJson(ProgressJson(progress), io_.err);
      io_.err->flush();
    }
  }

 private:
  const Io io_;
  std::string kind_;
  bool line_is_open_ = false;
};

// One run after the other against one server.
class Runner {
 public:
  Runner(const Server* server, RunStopper* stopper, Progress* progress)
      : server_(server), stopper_(stopper), progress_(progress) {}

  // Nothing where Ctrl-C came before it began.
  std::optional<load::LoadFigures> Run(const load::LoadOptions& options) {
    load::LoadRun run(options, load::TurnSource(options, server_->vocab_size),
                      server_->target.get(),
                      [this](const load::LoadProgress& progress) {
                        progress_->Tell(progress);
                      });
    if (stopper_->Watch(&run)) return std::nullopt;
    load::LoadFigures figures = run.Run();
    stopper_->Watch(nullptr);
    return figures;
  }

 private:
  const Server* const server_;
  RunStopper* const stopper_;
  Progress* const progress_;
};

void PrintSweep(absl::Span<const load::SweepRow> rows, bool as_json,
                const Io& io) {
  if (as_json) {
    PrintJson({{"sweep", SweepJson(rows)}}, io.out);
  } else {
    *io.out << SweepText(rows);
  }
}

absl::Status RunServe(const ServeFlags& flags,
                      const ConnectionFlags& connection, const Io& io) {
  TANDEM_ASSIGN_OR_RETURN(const ServePlan plan, PlanOf(flags));
  RunStopper stopper;
  // Before the threads of channels exist.
  const SignalWatcher watcher({.on_first = [&stopper] { stopper.Stop(); },
                               .second_exit_code = kExitInterrupted});
  TANDEM_ASSIGN_OR_RETURN(const Server server,
                          flags.openai.empty()
                              ? ConnectTandem(connection, flags, plan)
                              : ConnectOpenAi(flags, plan));
  if (server.vocab_size <= load::kFirstPromptToken) {
    return absl::FailedPreconditionError(
        "the vocabulary is too small to draw prompts from");
  }
  {
    Progress progress(flags.progress, io);
    Runner runner(&server, &stopper, &progress);
    if (!plan.sweep.lengths.empty()) {
      // A run that Ctrl-C cut short counts no round.
      const std::vector<load::SweepRow> rows = load::RunSweep(
          plan.load, plan.sweep,
          [&](const load::LoadOptions& options)
              -> std::optional<load::LoadFigures> {
            std::optional<load::LoadFigures> figures = runner.Run(options);
            if (watcher.came()) return std::nullopt;
            return figures;
          });
      PrintSweep(rows, flags.json, io);
    } else if (const auto figures = runner.Run(plan.load)) {
      if (flags.json) {
        PrintJson(LoadJson(*figures), io.out);
      } else {
        *io.out << LoadText(*figures);
      }
    }
  }
  return watcher.came() ? InterruptedError() : absl::OkStatus();
}

}  // namespace

void AddBenchServeCommand(CLI::App* app, CommandLine* line) {
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
                        "tandem bench serve --openai http://127.0.0.1:8080 "
                        "--vocab 32000"});
  command->callback([flags, line] {
    line->run = [flags, line](const Io& io) {
      return RunServe(*flags, line->connection, io);
    };
  });
}

}  // namespace tandem::cli
