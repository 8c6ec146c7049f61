#include "services/client/client.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/status.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "services/access/key_transport.h"
#include "services/client/converse_call.h"
#include "services/client/live_turns.h"
#include "services/client/resuming_turn.h"
#include "services/common/address.h"
#include "services/common/channel.h"
#include "services/common/status_conversion.h"
#include "services/identity/certificate_store.h"
#include "tandem/v1/coordinator_admin.grpc.pb.h"
#include "tandem/v1/generation.grpc.pb.h"

namespace tandem::client {
namespace {

using grpc::health::v1::HealthCheckResponse;

}  // namespace

bool MayCarryKey(const ClientOptions& options) {
  return !options.tls.ca.empty() ||
         (!options.http_proxy && IsLocalAddress(options.address));
}

struct Client::Connection {
  CertificateStore certificates;  // outlives the channel
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::GenerationService::Stub> generation;
  std::unique_ptr<v1::CoordinatorAdminService::Stub> admin;
  std::unique_ptr<grpc::health::v1::Health::Stub> health;
  std::shared_ptr<LiveTurns> live = std::make_shared<LiveTurns>();
};

absl::StatusOr<std::unique_ptr<Client>> Client::Make(ClientOptions options) {
  TANDEM_RETURN_IF_ERROR(CheckPeerAddress(options.address));
  auto connection = std::make_unique<Connection>();
  TANDEM_ASSIGN_OR_RETURN(const auto credentials,
                          connection->certificates.ForChannel(options.tls));
  connection->channel =
      MakeChannel(NamedAddress{.address = options.address}, credentials,
                  {.proxy = options.http_proxy ? HttpProxy::kFromEnvironment
                                               : HttpProxy::kNever});
  connection->generation = v1::GenerationService::NewStub(connection->channel);
  connection->admin = v1::CoordinatorAdminService::NewStub(connection->channel);
  connection->health = grpc::health::v1::Health::NewStub(connection->channel);
  std::unique_ptr<Client> client(
      new Client(std::move(options), std::move(connection)));
  TANDEM_RETURN_IF_ERROR(client->KeyOf({}).status());
  return client;
}

Client::Client(ClientOptions options, std::unique_ptr<Connection> connection)
    : options_(std::move(options)), connection_(std::move(connection)) {}

Client::~Client() { connection_->live->CloseAll(); }

absl::StatusOr<std::string> Client::KeyOf(const CallOptions& call) const {
  const std::string& key =
      call.api_key.empty() ? options_.api_key : call.api_key;
  if (key.empty() || MayCarryKey(options_)) return key;
  return absl::InvalidArgumentError(absl::StrCat(
      "the API key would go to ", options_.address,
      " in plain text: a key goes by TLS, to a loopback address or to a unix "
      "socket only"));
}

TurnSetup Client::SetupOf(const std::string& key,
                          const CallOptions& call) const {
  return {.live = connection_->live,
          .stub = connection_->generation.get(),
          .api_key = key,
          .deadline = absl::Now() + call.timeout,
          .resume_for = options_.resume_for,
          .on_lost = call.on_lost};
}

std::shared_ptr<TurnStream> Client::Start(v1::TurnRequest request,
                                          const CallOptions& call) {
  const absl::StatusOr<std::string> key = KeyOf(call);
  return std::make_shared<TurnStream>(
      key.ok() ? ResumingTurn::Start(SetupOf(*key, call), std::move(request))
               : ResumingTurn::Failed(SetupOf("", call), key.status()));
}

std::shared_ptr<TurnStream> Client::Resume(const TurnPosition& from,
                                           const CallOptions& call) {
  const absl::StatusOr<std::string> key = KeyOf(call);
  absl::Status problem = key.status();
  if (problem.ok() && (from.session_id.empty() || from.turn <= 0)) {
    problem = absl::InvalidArgumentError(
        "a position to resume from has a session and the number of its turn");
  }
  return std::make_shared<TurnStream>(
      problem.ok() ? ResumingTurn::Resume(SetupOf(*key, call), from)
                   : ResumingTurn::Failed(SetupOf("", call), problem));
}

template <typename Response, typename Stub, typename Request>
absl::StatusOr<Response> Client::CallUnary(
    Method<Stub, Request, Response> method, Stub* stub, const Request& request,
    const CallOptions& call) const {
  CallOptions bounded = call;
  bounded.timeout = std::min(call.timeout, kUnaryTimeout);
  return CallForLong(method, stub, request, bounded);
}

template <typename Response, typename Stub, typename Request>
absl::StatusOr<Response> Client::CallForLong(
    Method<Stub, Request, Response> method, Stub* stub, const Request& request,
    const CallOptions& call) const {
  TANDEM_ASSIGN_OR_RETURN(const std::string key, KeyOf(call));
  grpc::ClientContext context;
  SetUpCall(key, absl::Now() + call.timeout, &context);
  Response response;
  const grpc::Status status = (stub->*method)(&context, request, &response);
  if (!status.ok()) return FromGrpcStatus(status);
  return response;
}

absl::StatusOr<v1::TokenizeResponse> Client::Tokenize(
    const v1::TokenizeRequest& request, const CallOptions& call) {
  return CallUnary(&v1::GenerationService::Stub::Tokenize,
                   connection_->generation.get(), request, call);
}

absl::StatusOr<v1::ScoreResponse> Client::Score(const v1::ScoreRequest& request,
                                                const CallOptions& call) {
  return CallForLong(&v1::GenerationService::Stub::Score,
                     connection_->generation.get(), request, call);
}

absl::StatusOr<v1::DetokenizeResponse> Client::Detokenize(
    const v1::DetokenizeRequest& request, const CallOptions& call) {
  return CallUnary(&v1::GenerationService::Stub::Detokenize,
                   connection_->generation.get(), request, call);
}

absl::StatusOr<v1::ListModelsResponse> Client::ListModels(
    const CallOptions& call) {
  return CallUnary(&v1::GenerationService::Stub::ListModels,
                   connection_->generation.get(), v1::ListModelsRequest(),
                   call);
}

absl::StatusOr<v1::GetServerInfoResponse> Client::GetServerInfo(
    const CallOptions& call) {
  return CallUnary(&v1::GenerationService::Stub::GetServerInfo,
                   connection_->generation.get(), v1::GetServerInfoRequest(),
                   call);
}

absl::StatusOr<v1::GetStatusResponse> Client::GetStatus(
    const CallOptions& call) {
  return CallUnary(&v1::CoordinatorAdminService::Stub::GetStatus,
                   connection_->admin.get(), v1::GetStatusRequest(), call);
}

absl::StatusOr<v1::ListSessionsResponse> Client::ListSessions(
    const v1::ListSessionsRequest& request, const CallOptions& call) {
  return CallUnary(&v1::CoordinatorAdminService::Stub::ListSessions,
                   connection_->admin.get(), request, call);
}

absl::StatusOr<v1::ShowSessionResponse> Client::ShowSession(
    const v1::ShowSessionRequest& request, const CallOptions& call) {
  return CallUnary(&v1::CoordinatorAdminService::Stub::ShowSession,
                   connection_->admin.get(), request, call);
}

absl::StatusOr<v1::DeleteSessionResponse> Client::DeleteSession(
    const v1::DeleteSessionRequest& request, const CallOptions& call) {
  return CallUnary(&v1::CoordinatorAdminService::Stub::DeleteSession,
                   connection_->admin.get(), request, call);
}

bool Client::IsHealthy(absl::string_view name, absl::Duration timeout) {
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(std::string(name));
  const absl::StatusOr<HealthCheckResponse> response =
      CallUnary(&grpc::health::v1::Health::Stub::Check,
                connection_->health.get(), request, {.timeout = timeout});
  return response.ok() && response->status() == HealthCheckResponse::SERVING;
}

}  // namespace tandem::client
