// tandem up: a model served on this machine, by one command.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "CLI/App.hpp"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/monotonic_clock.h"
#include "engine/base/status.h"
#include "engine/engine.h"
#include "engine/model/memory_account.h"
#include "services/common/address.h"
#include "services/common/credentials.h"
#include "services/common/flag_messages.h"
#include "services/common/listen/listening_sockets.h"
#include "tools/tandem/base/client.h"
#include "tools/tandem/base/interrupt.h"
#include "tools/tandem/command_line.h"
#include "tools/tandem/draft_search.h"
#include "tools/tandem/model_files.h"
#include "tools/tandem/up/draft_trial.h"
#include "tools/tandem/up/local_service.h"
#include "tools/tandem/up/state_home.h"

namespace tandem::cli {
namespace {

constexpr char kListenDefault[] = "127.0.0.1:7070";
constexpr char kAutoDraft[] = "auto";
constexpr char kNoDraft[] = "none";
constexpr char kWhatHelps[] =
    "a smaller file (tandem quantize makes one), or more memory (limit of the "
    "container)";

struct UpFlags {
  std::string model;
  std::string draft = kNoDraft;
  std::string listen = kListenDefault;
  std::string http_listen = "127.0.0.1:8080";
  std::string log_file;
};

void Say(const Io& io, absl::string_view line) {
  *io.err << "tandem: " << line << std::endl;
}

std::string ModelName(const std::string& path) {
  return std::filesystem::path(path).stem().string();
}

// The form of an address, and that it is this machine's own.
absl::Status CheckLocal(const char* flag, const std::string& address) {
  if (!ParseHostPort(address).has_value() &&
      !ParseUnixPath(address).has_value()) {
    return UsageError(absl::StrCat(
        flag, " ", address,
        ": is not host:port, [ipv6]:port or unix:PATH; e.g. 127.0.0.1:0"));
  }
  if (CheckListenAddress(address, /*files=*/{}, /*allow_insecure=*/false)
          .ok()) {
    return absl::OkStatus();
  }
  return UsageError(absl::StrCat(
      flag, " ", address,
      ": others could reach it: tandem up serves this machine alone, at a "
      "loopback address; for others run tandem-worker and tandem-coordinator "
      "with --tls-cert"));
}

// Takes the addresses for a moment: both are free then, and port 0 is one.
absl::Status CheckFree(LocalServiceOptions* options) {
  const auto listen = ListeningSockets::Open("--listen", options->listen);
  if (!listen.ok()) return UsageError(listen.status().message());
  const auto http =
      ListeningSockets::Open("--http-listen", options->http_listen);
  if (!http.ok()) return UsageError(http.status().message());
  options->listen = (*listen)->address();
  options->http_listen = (*http)->address();
  return absl::OkStatus();
}

absl::Status CheckAddresses(const UpFlags& flags,
                            LocalServiceOptions* options) {
  TANDEM_RETURN_IF_ERROR(CheckLocal("--listen", flags.listen));
  TANDEM_RETURN_IF_ERROR(CheckLocal("--http-listen", flags.http_listen));
  if (ParseUnixPath(flags.http_listen).has_value()) {
    return UsageError(absl::StrCat("--http-listen ", flags.http_listen,
                                   ": must be HOST:PORT, which browsers and "
                                   "OpenAI clients can reach"));
  }
  options->listen = flags.listen;
  options->http_listen = flags.http_listen;
  return CheckFree(options);
}

// A name as other tools have them, "llama3.2", is no file here.
absl::Status ExplainModel(const absl::Status& status, const UpFlags& flags) {
  if (!absl::IsNotFound(status) || absl::StrContains(flags.model, '/') ||
      absl::EndsWith(flags.model, ".gguf")) {
    return status;
  }
  return absl::NotFoundError(absl::StrCat(
      status.message(),
      "; MODEL is the path of a GGUF file: tandem downloads nothing, so fetch "
      "one first, as from huggingface.co, where a search for GGUF finds them"));
}

// What a run needs beside the addresses.
struct ModelPlan {
  WorkerCommand target;
  std::optional<WorkerCommand> draft = {};
};

// KV for both, as if they were one process; half of what is left stays free.
absl::StatusOr<ModelPlan> PlanKv(const OpenedModels& models,
                                 const ModelPaths& paths) {
  std::vector<ModelNeeds> needs(1);
  TANDEM_ASSIGN_OR_RETURN(needs[0],
                          NeedsOf(*models.target.file, std::nullopt, {}));
  if (models.draft.has_value()) {
    absl::StatusOr<ModelNeeds> draft =
        NeedsOf(*models.draft->file, std::nullopt, {});
    if (!draft.ok()) return Annotate(draft.status(), "--draft");
    needs.push_back(*std::move(draft));
  }
  const MemoryAccount memory(
      {.more_to_come = true,
       .what_helps = absl::StrCat(
           models.draft.has_value() ? "--draft none, " : "", kWhatHelps)});
  TANDEM_ASSIGN_OR_RETURN(const MemoryPlan plan, memory.Try(needs));
  ModelPlan result = {
      .target = {.model = paths.target, .kv_tokens = plan.models[0].kv_tokens}};
  if (models.draft.has_value()) {
    result.draft = WorkerCommand{.model = paths.draft,
                                 .kv_tokens = plan.models[1].kv_tokens};
  }
  return result;
}

// With a draft that lies beside the model, where one fits.
absl::StatusOr<ModelPlan> PlanAutomatic(const UpFlags& flags, const Io& io) {
  ModelPaths paths = {.target = flags.model};
  TANDEM_ASSIGN_OR_RETURN(OpenedModels models, OpenModels(paths));
  const DraftSearch search = FindDraft(flags.model, models.target);
  if (!search.path.has_value()) {
    Say(io, absl::StrCat("--draft auto: no draft: beside ", flags.model,
                         " is no GGUF file of at most a third of its size "
                         "with its vocabulary"));
    for (const std::string& reason : search.reasons) Say(io, reason);
    return PlanKv(models, paths);
  }
  ModelPaths pair = {.target = flags.model, .draft = *search.path};
  TANDEM_ASSIGN_OR_RETURN(models, OpenModels(pair));
  const absl::StatusOr<ModelPlan> plan = PlanKv(models, pair);
  if (plan.ok() || !absl::IsResourceExhausted(plan.status())) return plan;
  Say(io, absl::StrCat("--draft auto: no draft: ", *search.path,
                       " does not fit the memory beside the model"));
  models.draft.reset();
  return PlanKv(models, paths);
}

absl::StatusOr<ModelPlan> PlanModels(const UpFlags& flags, const Io& io) {
  if (flags.draft.empty()) {
    return UsageError("--draft is empty: it is a GGUF file, auto or none");
  }
  if (flags.draft == kAutoDraft) return PlanAutomatic(flags, io);
  const ModelPaths paths = {
      .target = flags.model,
      .draft = flags.draft == kNoDraft ? "" : flags.draft};
  TANDEM_ASSIGN_OR_RETURN(const OpenedModels models, OpenModels(paths));
  return PlanKv(models, paths);
}

absl::StatusOr<std::string> LogPath(const UpFlags& flags) {
  if (!flags.log_file.empty()) return flags.log_file;
  const std::optional<HostPort> at = ParseHostPort(flags.listen);
  std::string path = StatePath(
      at.has_value() ? absl::StrCat("up-", at->port, ".log") : "up.log");
  if (path.empty()) {
    return UsageError(
        "--log-file FILE is needed: the environment has neither HOME nor "
        "XDG_STATE_HOME, below which the log would be");
  }
  return path;
}

// Of a port that is known beforehand, so that the next run finds what this one
// has left; without a home nothing is left.
std::string StateDir(const UpFlags& flags) {
  const std::optional<HostPort> at = ParseHostPort(flags.listen);
  if (!at.has_value() || at->port == 0) return "";
  return StatePath(absl::StrCat("sessions-", at->port));
}

// Finds out what is wrong before anything is started.
absl::StatusOr<LocalServiceOptions> Plan(const UpFlags& flags, const Io& io) {
  LocalServiceOptions options;
  absl::StatusOr<ModelPlan> plan = PlanModels(flags, io);
  if (!plan.ok()) return ExplainModel(plan.status(), flags);
  options.target = plan->target;
  options.draft = plan->draft;
  TANDEM_RETURN_IF_ERROR(CheckAddresses(flags, &options));
  TANDEM_ASSIGN_OR_RETURN(options.log_path, LogPath(flags));
  options.state_dir = StateDir(flags);
  std::error_code error;
  const std::string self =
      std::filesystem::read_symlink("/proc/self/exe", error).string();
  TANDEM_ASSIGN_OR_RETURN(options.programs, FindPrograms(self));
  return options;
}

// Measures a draft that was found, and takes it out where it does not pay.
absl::Status TryFoundDraft(const LocalServiceOptions& options,
                           LocalService* service, Interrupt* interrupt) {
  const std::string& draft = options.draft->model;
  service->Say(absl::StrCat("--draft auto: measuring ", draft));
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                          Client::Make({.coordinator = options.listen}));
  interrupt->SetUnderWay([&client] { client->CancelTurn(); });
  const absl::StatusOr<TrialResult> result = TryDraft(
      [&](const v1::TurnRequest& turn) -> absl::StatusOr<v1::TurnEnded> {
        if (interrupt->came()) return InterruptedError();
        return client->RunTurn(
            turn, {.on_started = [](const v1::TurnStarted&) {},
                   .on_tokens = [](const v1::TokensGenerated&) {}});
      });
  interrupt->SetUnderWay(nullptr);
  if (interrupt->came()) return InterruptedError();
  if (!result.ok()) {
    service->Say(absl::StrCat("--draft auto: ", draft,
                              " is used; measuring it "
                              "failed: ",
                              OneLine(result.status())));
    return absl::OkStatus();
  }
  service->Say(absl::StrCat(
      "--draft auto: ", draft, ": ", DescribeTrial(*result),
      result->pays() ? ": it is used" : ": it does not pay and is not used"));
  return result->pays() ? absl::OkStatus() : service->DropDraft();
}

void PrintAddresses(const LocalServiceOptions& options,
                    const LocalService& service, const Io& io) {
  *io.out << "gRPC  " << options.listen << "\n";
  if (service.has_gateway()) {
    *io.out << "HTTP  http://" << options.http_listen << "/v1\n"
            << "page  http://" << options.http_listen << "/\n";
  }
  *io.out << std::flush;
}

absl::Status Serve(const UpFlags& flags, const LocalServiceOptions& options,
                   LocalService* service, Interrupt* interrupt, const Io& io) {
  const absl::Time began = MonotonicNow();
  TANDEM_RETURN_IF_ERROR(service->Start());
  if (flags.draft == kAutoDraft && options.draft.has_value()) {
    TANDEM_RETURN_IF_ERROR(TryFoundDraft(options, service, interrupt));
  }
  service->ClearStatus();
  PrintAddresses(options, *service, io);
  if (!service->has_gateway()) {
    service->Say(
        "no HTTP and no page: tandem-gateway is not beside this program");
  }
  service->Say(absl::StrFormat(
      "%s is served, ready after %.1f s; log: %s; Ctrl-C "
      "stops",
      ModelName(flags.model), absl::ToDoubleSeconds(MonotonicNow() - began),
      service->log_path()));
  service->Say(
      absl::StrCat("in another terminal: tandem generate 'Once upon a "
                   "time'",
                   options.listen == kListenDefault
                       ? ""
                       : absl::StrCat(" --coordinator ", options.listen)));
  return service->Run();
}

absl::Status RunUp(const UpFlags& flags, const ConnectionFlags& /*connection*/,
                   const Io& io) {
  TANDEM_ASSIGN_OR_RETURN(LocalServiceOptions options, Plan(flags, io));
  // Until here Ctrl-C ends the process.
  Interrupt interrupt;
  options.is_interrupted = [&interrupt] { return interrupt.came(); };
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<LocalService> service,
                          LocalService::Make(options, io));
  const absl::Status status =
      Serve(flags, options, service.get(), &interrupt, io);
  service->Stop();
  const std::string lines = status.ok() ? "" : service->NewestLines();
  if (!lines.empty()) {
    *io.err << lines << "\n";
    return absl::Status(status.code(),
                        absl::StrCat(status.message(), "; the whole log is in ",
                                     service->log_path()));
  }
  return status;
}

}  // namespace

void AddUpCommand(CLI::App* app, CommandLine* line) {
  auto flags = std::make_shared<UpFlags>();
  CLI::App* command = app->add_subcommand(
      "up",
      "Serves a model on this machine: starts a worker, with --draft two, a "
      "coordinator and a gateway, prints their addresses, and stops them at "
      "Ctrl-C. Workers that end are started again.");
  command
      ->add_option("MODEL", flags->model,
                   "The model: a GGUF file; of a split model the first")
      ->required();
  command
      ->add_option("--draft", flags->draft,
                   "A smaller model of the same vocabulary that drafts: a GGUF "
                   "file; auto: one that lies beside MODEL, if a measurement "
                   "of some seconds finds that it pays; or none")
      ->take_last()
      ->capture_default_str();
  command
      ->add_option("--listen", flags->listen,
                   "Address for gRPC clients, as this program: a loopback "
                   "address or unix:PATH; port 0 takes any free one, and "
                   "sessions end with it")
      ->take_last()
      ->capture_default_str();
  command
      ->add_option("--http-listen", flags->http_listen,
                   "Address for browsers and OpenAI clients: a loopback one; "
                   "port 0 takes any free one")
      ->take_last()
      ->capture_default_str();
  command
      ->add_option("--log-file", flags->log_file,
                   "File for the log of all processes; default: "
                   "~/.local/state/tandem/up-PORT.log")
      ->take_last();
  SetExamples(command, {"tandem up model.gguf",
                        "tandem up model.gguf --draft small.gguf",
                        "tandem up model.gguf --draft auto --listen "
                        "127.0.0.1:7080 --http-listen 127.0.0.1:8090"});
  RunWhenChosen(command, flags, RunUp, line);
}

}  // namespace tandem::cli
