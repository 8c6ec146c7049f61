#include "tools/tandem/base/client.h"

#include <chrono>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/status.h"
#include "grpcpp/client_context.h"
#include "services/common/channel.h"
#include "services/common/status_conversion.h"
#include "tools/tandem/base/connection.h"

namespace tandem::cli {
namespace {

// For calls that compute no tokens: a server that takes longer is stuck.
constexpr std::chrono::seconds kUnaryTimeout{30};

// Of `tandem tokenize` and `tandem detokenize`.
RequestTerms TermsOf(const std::string& model_id) {
  return {.model_flag = "--model-id", .model_id = model_id};
}

void WriteCancel(
    grpc::ClientReaderWriter<v1::ConverseRequest, v1::ConverseResponse>* turn) {
  v1::ConverseRequest request;
  request.mutable_cancel();
  turn->Write(request);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Client>> Client::Make(
    const ConnectionFlags& flags) {
  TANDEM_ASSIGN_OR_RETURN(std::shared_ptr<grpc::Channel> channel,
                          Connect("--coordinator", flags.coordinator, flags));
  return std::unique_ptr<Client>(new Client(flags, std::move(channel)));
}

Client::Client(ConnectionFlags flags, std::shared_ptr<grpc::Channel> channel)
    : flags_(std::move(flags)),
      channel_(std::move(channel)),
      stub_(v1::GenerationService::NewStub(channel_)) {}

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

absl::Status Client::Explain(const grpc::Status& status,
                             const RequestTerms& terms) const {
  absl::Status error = FromGrpcStatus(status);
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
         .hint = absl::StrCat("it has not answered in ", kUnaryTimeout.count(),
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

absl::StatusOr<v1::TurnEnded> Client::RunTurn(const v1::TurnRequest& turn,
                                              const TurnListener& listener) {
  v1::ConverseRequest request;
  *request.mutable_start() = turn;
  TANDEM_RETURN_IF_ERROR(CheckRequestBytes(request, "text"));
  grpc::ClientContext context;
  const std::unique_ptr<TurnStream> stream = stub_->Converse(&context);
  stream->Write(request);  // a failure shows in Finish
  OpenWrites(stream.get());
  v1::TurnEnded ended;
  bool has_ended = false;
  v1::ConverseResponse response;
  while (!has_ended && stream->Read(&response)) {
    switch (response.event_case()) {
      case v1::ConverseResponse::kStarted:
        listener.on_started(response.started());
        break;
      case v1::ConverseResponse::kTokens:
        listener.on_tokens(response.tokens());
        break;
      case v1::ConverseResponse::kEnded:
        ended = std::move(*response.mutable_ended());
        has_ended = true;
        break;
      case v1::ConverseResponse::EVENT_NOT_SET:
        break;  // an event of a later version
    }
  }
  CloseWrites();
  while (stream->Read(&response)) {  // Finish wants the stream read to its end
  }
  const grpc::Status status = stream->Finish();
  if (!status.ok()) {
    return Explain(
        status, {.model_id = turn.model_id(), .session_id = turn.session_id()});
  }
  if (!has_ended) {
    return absl::InternalError(absl::StrCat(
        address(), ": the stream ended before the turn; ask again"));
  }
  return ended;
}

void Client::CancelTurn() {
  absl::MutexLock lock(&mutex_);
  cancel_asked_ = true;
  if (turn_ != nullptr) WriteCancel(turn_);
}

void Client::OpenWrites(TurnStream* turn) {
  absl::MutexLock lock(&mutex_);
  turn_ = turn;
  if (cancel_asked_) WriteCancel(turn_);
}

void Client::CloseWrites() {
  absl::MutexLock lock(&mutex_);
  turn_->WritesDone();
  turn_ = nullptr;
  cancel_asked_ = false;
}

template <typename Request, typename Response>
absl::StatusOr<Response> Client::CallUnary(Method<Request, Response> method,
                                           const Request& request,
                                           absl::string_view what,
                                           const RequestTerms& terms) const {
  TANDEM_RETURN_IF_ERROR(CheckRequestBytes(request, what));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kUnaryTimeout);
  Response response;
  const grpc::Status status =
      (stub_.get()->*method)(&context, request, &response);
  if (!status.ok()) return Explain(status, terms);
  return response;
}

absl::StatusOr<v1::TokenizeResponse> Client::Tokenize(
    const v1::TokenizeRequest& request) {
  return CallUnary(&v1::GenerationService::Stub::Tokenize, request, "text",
                   TermsOf(request.model_id()));
}

absl::StatusOr<v1::DetokenizeResponse> Client::Detokenize(
    const v1::DetokenizeRequest& request) {
  return CallUnary(&v1::GenerationService::Stub::Detokenize, request,
                   "list of token ids", TermsOf(request.model_id()));
}

absl::StatusOr<v1::ListModelsResponse> Client::ListModels() {
  return CallUnary(&v1::GenerationService::Stub::ListModels,
                   v1::ListModelsRequest(), "request", {});
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
