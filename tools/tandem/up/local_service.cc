#include "tools/tandem/up/local_service.h"

#include <httplib.h>

#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "engine/base/monotonic_clock.h"
#include "engine/base/status.h"
#include "services/common/worker_protocol.h"
#include "tools/tandem/base/client.h"
#include "tools/tandem/base/connection.h"
#include "tools/tandem/base/health_check.h"
#include "tools/tandem/up/state_home.h"

namespace tandem::cli {
namespace {

// Of Attend: how late an interrupt is seen.
constexpr absl::Duration kAttendFor = absl::Milliseconds(100);
// One question to a process of this machine; asked again.
constexpr absl::Duration kCheckTimeout = absl::Milliseconds(500);

// What workers log while they load (worker_server.cc, model_loader.cc).
constexpr char kLoadingText[] = " loading model ";
constexpr char kLoadedText[] = " was loaded in ";

absl::string_view StateText(ProgramState state) {
  switch (state) {
    case ProgramState::kStarting:
      return "starts";
    case ProgramState::kRunning:
      return "runs";
    case ProgramState::kWaiting:
      return "has ended and starts again";
  }
  return "";
}

// Whether the gateway at HOST:PORT answers.
bool AnswersHttp(const std::string& address) {
  httplib::Client client(absl::StrCat("http://", address));
  client.set_connection_timeout(absl::ToChronoMilliseconds(kCheckTimeout));
  client.set_read_timeout(absl::ToChronoMilliseconds(kCheckTimeout));
  const httplib::Result result = client.Get("/health");
  return result && result->status == 200;
}

}  // namespace

std::optional<LoadingProgress> ParseProgress(absl::string_view line) {
  const size_t begin = line.find(kLoadingText);
  if (begin == absl::string_view::npos) return std::nullopt;
  line.remove_prefix(begin + sizeof(kLoadingText) - 1);
  // "ID: 40%"; an id may have colons.
  const size_t colon = line.rfind(": ");
  int percent = 0;
  if (colon == absl::string_view::npos || !absl::ConsumeSuffix(&line, "%") ||
      !absl::SimpleAtoi(line.substr(colon + 2), &percent)) {
    return std::nullopt;
  }
  return LoadingProgress{.model = std::string(line.substr(0, colon)),
                         .part = percent / 100.0};
}

absl::StatusOr<std::unique_ptr<LocalService>> LocalService::Make(
    LocalServiceOptions options, const Io& io) {
  absl::StatusOr<std::unique_ptr<RunLog>> log = RunLog::Open(options.log_path);
  if (!log.ok()) return Annotate(log.status(), "--log-file");
  if (const std::error_code error = MakePrivateFolder(options.state_dir)) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.state_dir,
                     ": the folder of sessions can not be "
                     "made: ",
                     error.message()));
  }
  TANDEM_ASSIGN_OR_RETURN(std::unique_ptr<RuntimeFolder> folder,
                          RuntimeFolder::Make());
  return std::unique_ptr<LocalService>(new LocalService(
      std::move(options), io, std::move(folder), *std::move(log)));
}

LocalService::LocalService(LocalServiceOptions options, const Io& io,
                           std::unique_ptr<RuntimeFolder> folder,
                           std::unique_ptr<RunLog> log)
    : options_(std::move(options)),
      io_(io),
      has_draft_(options_.draft.has_value()),
      folder_(std::move(folder)),
      log_(std::move(log)),
      status_line_(io.err),
      supervisor_(
          {.on_line = [this](const std::string& name,
                             absl::string_view line) { OnLine(name, line); },
           .on_news = [this](const std::string& name,
                             absl::string_view news) { OnNews(name, news); }}) {
}

absl::Status LocalService::Start() {
  TANDEM_RETURN_IF_ERROR(supervisor_.Add(
      kTargetName,
      TargetCommand(options_.programs, *folder_, options_.target)));
  // One after the other: the second plans its memory beside the first.
  TANDEM_RETURN_IF_ERROR(AwaitHealthy(kTargetName, TargetAddress(*folder_)));
  if (has_draft_) {
    TANDEM_RETURN_IF_ERROR(supervisor_.Add(
        kDraftName,
        DraftCommand(options_.programs, *folder_, *options_.draft)));
    TANDEM_RETURN_IF_ERROR(AwaitHealthy(kDraftName, DraftAddress(*folder_)));
  }
  TANDEM_RETURN_IF_ERROR(StartCoordinator());
  if (has_draft_) TANDEM_RETURN_IF_ERROR(AwaitDraft());
  if (!has_gateway()) return absl::OkStatus();
  TANDEM_RETURN_IF_ERROR(supervisor_.Add(
      kGatewayName, GatewayCommand(options_.programs, options_.http_listen,
                                   options_.listen)));
  return AwaitReady(kGatewayName,
                    [this] { return AnswersHttp(options_.http_listen); });
}

absl::Status LocalService::StartCoordinator() {
  TANDEM_RETURN_IF_ERROR(supervisor_.Add(
      kCoordinatorName,
      CoordinatorCommand(options_.programs, *folder_,
                         {.listen = options_.listen,
                          .drafts = has_draft_ ? Drafts::kOne : Drafts::kNone,
                          .state_dir = options_.state_dir})));
  return AwaitHealthy(kCoordinatorName, options_.listen);
}

absl::Status LocalService::DropDraft() {
  has_draft_ = false;
  supervisor_.Remove(kCoordinatorName);
  supervisor_.Remove(kDraftName);
  return StartCoordinator();
}

absl::Status LocalService::Run() {
  while (!options_.is_interrupted()) {
    TANDEM_RETURN_IF_ERROR(supervisor_.Attend(kAttendFor));
    ShowStatus();
  }
  return absl::OkStatus();
}

void LocalService::Stop() {
  status_line_.Clear();
  if (io_.err_is_terminal) status_line_.Show("stopping");
  supervisor_.StopAll();
  status_line_.Clear();
}

std::string LocalService::NewestLines() {
  if (supervisor_.failed().empty()) return "";
  return absl::StrJoin(log_->Newest(supervisor_.failed()), "\n");
}

void LocalService::OnLine(const std::string& name, absl::string_view line) {
  log_->Write(name, line);
  if (absl::StrContains(line, kLoadedText)) progress_.clear();
  const std::optional<LoadingProgress> loading = ParseProgress(line);
  if (!loading.has_value()) return;
  progress_ = ProgressBar(
      absl::StrCat("loading ", loading->model, " (", name, ")"), loading->part);
  if (io_.err_is_terminal) status_line_.Show(progress_);
}

void LocalService::OnNews(const std::string& name, absl::string_view news) {
  log_->Write(name, news);
  progress_.clear();  // of a worker that has ended
  Say(absl::StrCat("the ", name, " ", news));
}

void LocalService::Say(absl::string_view line) {
  status_line_.Clear();
  *io_.err << "tandem: " << line << std::endl;
}

void LocalService::ShowStatus() {
  if (!io_.err_is_terminal) return;
  if (!progress_.empty()) return status_line_.Show(progress_);
  std::string text = "Ctrl-C stops";
  for (const auto& [name, state] : supervisor_.States()) {
    absl::StrAppend(&text, " | ", name, " ", StateText(state));
  }
  status_line_.Show(text);
}

absl::Status LocalService::AwaitReady(const std::string& name,
                                      const std::function<bool()>& is_ready) {
  const absl::Time end = MonotonicNow() + kStartTimeout;
  while (true) {
    TANDEM_RETURN_IF_ERROR(supervisor_.Attend(kAttendFor));
    if (options_.is_interrupted()) return InterruptedError();
    if (is_ready()) break;
    if (MonotonicNow() >= end) {
      return absl::DeadlineExceededError(absl::StrCat(
          "the ", name, " is not ready after ",
          absl::FormatDuration(kStartTimeout), "; its log is in ", log_path()));
    }
    ShowStatus();
  }
  supervisor_.MarkReady(name);
  return absl::OkStatus();
}

absl::Status LocalService::AwaitHealthy(const std::string& name,
                                        const std::string& address) {
  return AwaitReady(name, [&address] {
    // A channel that finds nobody listening tries again after 5 s only.
    const absl::StatusOr<std::shared_ptr<grpc::Channel>> channel =
        Connect("--listen", address, {.coordinator = address});
    if (!channel.ok()) return false;
    const absl::StatusOr<ServingState> state =
        CheckHealth(*channel, kHealthReady, kCheckTimeout);
    return state.ok() &&
           *state == grpc::health::v1::HealthCheckResponse::SERVING;
  });
}

absl::Status LocalService::AwaitDraft() {
  TANDEM_ASSIGN_OR_RETURN(const std::unique_ptr<Client> client,
                          Client::Make({.coordinator = options_.listen}));
  return AwaitReady(kCoordinatorName, [&client] {
    const absl::StatusOr<v1::ListModelsResponse> models = client->ListModels();
    return models.ok() && models->models_size() > 0 &&
           models->models(0).draft_workers() > 0;
  });
}

}  // namespace tandem::cli
