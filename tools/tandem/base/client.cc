#include "tools/tandem/base/client.h"

#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"
#include "services/common/channel.h"
#include "tools/tandem/base/connection.h"

namespace tandem::cli {
namespace {

// Of `tandem tokenize` and `tandem detokenize`.
RequestTerms TermsOf(const std::string& model_id) {
  return {.model_flag = "--model-id", .model_id = model_id};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Make(
    const ConnectionFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(
      client::ClientOptions options,
      ServiceOptions("--coordinator", flags.coordinator, flags));
  auto service = client::Client::Make(std::move(options));
  if (!service.ok()) return UsageError(service.status().message());
  return std::unique_ptr<Client>(new Client(flags, *std::move(service)));
}

Client::Client(ConnectionFlags flags, std::unique_ptr<client::Client> service)
    : flags_(std::move(flags)), service_(std::move(service)) {}

absl::Status Client::CheckRequestBytes(
    const google::protobuf::MessageLite& request,
    absl::string_view what) const {
  const size_t bytes = request.ByteSizeLong();
  if (bytes <= kRequestBytesMax) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the ", what, " is longer than the coordinator at ",
                   address(), " takes: a request has at most ",
                   kRequestBytesMax, " bytes and this one ", bytes));
}

absl::Status Client::Explain(const absl::Status& error,
                             const RequestTerms& terms) const {
  if (GetErrorDetail(error)) return InFlagTerms(error, terms);
  if (absl::IsUnavailable(error)) {
    return ExplainUnreachable(
        {.who = absl::StrCat("the coordinator at ", address()),
         .address = address(),
         .hint = "start one with tandem-coordinator --target ADDRESS, or name "
                 "another with --coordinator"},
        flags_, error);
  }
  if (absl::IsDeadlineExceeded(error)) {  // the service's has a detail
    return ExplainUnreachable(
        {.who = absl::StrCat("the coordinator at ", address()),
         .address = address(),
         .hint = absl::StrCat("it has not answered in ",
                              absl::ToInt64Seconds(client::kUnaryTimeout),
                              " seconds; its log may say why")},
        flags_, error);
  }
  // gRPC's own refusal; that of a request is found before (CheckRequestBytes).
  if (absl::IsResourceExhausted(error) &&
      absl::StrContains(error.message(), "larger than max")) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the answer of the coordinator at ", address(),
                     " is larger than one message may be: ask for less (",
                     error.message(), ")"));
  }
  if (absl::IsUnimplemented(error)) {
    return absl::UnimplementedError(absl::StrCat(
        "the server at ", address(),
        " is no tandem coordinator: name another with --coordinator"));
  }
  return Annotate(error, address());
}

absl::Status Client::CheckTurnBytes(const v1::TurnRequest& turn) const {
  v1::ConverseRequest request;
  *request.mutable_start() = turn;
  return CheckRequestBytes(request, "text");
}

absl::StatusOr<v1::TurnEnded> Client::RunTurn(const v1::TurnRequest& turn,
                                              const TurnListener& listener) {
  TANDEM_RETURN_IF_ERROR(CheckTurnBytes(turn));
  const std::shared_ptr<client::TurnStream> stream =
      service_->Start(turn, {.on_lost = listener.on_lost});
  SetTurn(stream);
  client::NextEvent next = std::optional<client::Event>();
  do {
    next = stream->Next();
    if (!next.ok()) break;
    if ((*next)->has_started()) listener.on_started((*next)->started());
    if ((*next)->has_prompt() && listener.on_prompt) {
      listener.on_prompt((*next)->prompt());
    }
    if ((*next)->has_tokens()) listener.on_tokens((*next)->tokens());
  } while (!(*next)->has_ended());
  SetTurn(nullptr);
  if (!next.ok()) {
    return Explain(next.status(), {.model_id = turn.model_id(),
                                   .session_id = turn.session_id()});
  }
  return std::move(*(*next)->mutable_ended());
}

void Client::CancelTurn() {
  absl::MutexLock lock(&mutex_);
  cancel_asked_ = true;
  if (turn_ != nullptr) turn_->Cancel();
}

void Client::SetTurn(std::shared_ptr<client::TurnStream> turn) {
  absl::MutexLock lock(&mutex_);
  turn_ = std::move(turn);
  if (turn_ == nullptr) {
    cancel_asked_ = false;
  } else if (cancel_asked_) {
    turn_->Cancel();
  }
}

template <typename Response>
absl::StatusOr<Response> Client::Explained(absl::StatusOr<Response> response,
                                           const RequestTerms& terms) const {
  if (!response.ok()) return Explain(response.status(), terms);
  return response;
}

absl::StatusOr<v1::TokenizeResponse> Client::Tokenize(
    const v1::TokenizeRequest& request) {
  TANDEM_RETURN_IF_ERROR(CheckRequestBytes(request, "text"));
  return Explained(service_->Tokenize(request), TermsOf(request.model_id()));
}

absl::StatusOr<v1::ScoreResponse> Client::Score(
    const v1::ScoreRequest& request) {
  TANDEM_RETURN_IF_ERROR(CheckRequestBytes(request, "text"));
  return Explained(service_->Score(request), {.model_id = request.model_id()});
}

absl::StatusOr<v1::DetokenizeResponse> Client::Detokenize(
    const v1::DetokenizeRequest& request) {
  TANDEM_RETURN_IF_ERROR(CheckRequestBytes(request, "list of token ids"));
  return Explained(service_->Detokenize(request), TermsOf(request.model_id()));
}

absl::StatusOr<v1::ListModelsResponse> Client::ListModels() {
  return Explained(service_->ListModels(), {});
}

template <typename Response>
absl::StatusOr<Response> Client::ExplainedToOperator(
    absl::StatusOr<Response> response, absl::string_view what) const {
  if (absl::IsUnimplemented(response.status())) {
    return absl::UnimplementedError(absl::StrCat(
        "the server at ", address(), " does not ", what,
        ": it is no tandem coordinator, or one of before; name another with "
        "--coordinator"));
  }
  return Explained(std::move(response), {});
}

absl::StatusOr<v1::GetStatusResponse> Client::GetStatus() {
  return ExplainedToOperator(service_->GetStatus(), "report its status");
}

absl::StatusOr<v1::ListSessionsResponse> Client::ListSessions(
    const v1::ListSessionsRequest& request) {
  return ExplainedToOperator(service_->ListSessions(request),
                             "list its sessions");
}

absl::StatusOr<v1::ShowSessionResponse> Client::ShowSession(
    const v1::ShowSessionRequest& request) {
  return ExplainedToOperator(service_->ShowSession(request),
                             "show its sessions");
}

absl::Status Client::DeleteSession(const v1::DeleteSessionRequest& request) {
  return ExplainedToOperator(service_->DeleteSession(request),
                             "delete its sessions")
      .status();
}

absl::StatusOr<v1::ModelInfo> Client::FindModel(const std::string& model_id) {
  TANDEM_ASSIGN_OR_RETURN(const v1::ListModelsResponse models, ListModels());
  if (model_id.empty() && models.models_size() > 1) {
    return UsageError(absl::StrCat(
        "--model: must name one of ",
        absl::StrJoin(models.models(), ", ",
                      [](std::string* out, const v1::ModelInfo& info) {
                        absl::StrAppend(out, info.model_id());
                      })));
  }
  for (const v1::ModelInfo& info : models.models()) {
    if (model_id.empty() || info.model_id() == model_id) return info;
  }
  return NotServed({.model_flag = "--model", .model_id = model_id});
}

}  // namespace tandem::cli
