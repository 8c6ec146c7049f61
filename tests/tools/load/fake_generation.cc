#include "tests/tools/load/fake_generation.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "services/common/channel.h"
#include "services/common/status_conversion.h"

namespace tandem::load {
namespace {

template <typename Response>
Response Started(const std::string& session_id) {
  Response response;
  response.mutable_started()->set_session_id(session_id);
  return response;
}

template <typename Response>
Response Tokens(int first, int count) {
  Response response;
  response.mutable_tokens()->set_first_token(first);
  for (int i = 0; i < count; ++i) {
    response.mutable_tokens()->add_token_ids(100 + i);
  }
  return response;
}

template <typename Response>
Response Ended(v1::FinishReason reason) {
  Response response;
  v1::TurnEnded* ended = response.mutable_ended();
  ended->set_finish_reason(reason);
  ended->mutable_usage()->set_generated_tokens(5);
  ended->mutable_speculation()->set_rounds(2);
  ended->mutable_speculation()->set_drafted_tokens(6);
  ended->mutable_speculation()->set_accepted_tokens(3);
  ended->mutable_speculation()->set_rpc_us(900);
  ended->mutable_speculation()->set_wait_us(100);
  return response;
}

}  // namespace

FakeGeneration::FakeGeneration() {
  grpc::ServerBuilder builder;
  ConfigureServer(&builder);
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  TANDEM_CHECK(server_ != nullptr);
  address_ = absl::StrCat("127.0.0.1:", port);
}

FakeGeneration::~FakeGeneration() { server_->Shutdown(); }

std::shared_ptr<grpc::Channel> FakeGeneration::NewChannel() const {
  return MakeChannel(address_, grpc::InsecureChannelCredentials());
}

std::vector<v1::TurnRequest> FakeGeneration::turns() const {
  absl::MutexLock lock(&mutex_);
  return turns_;
}

std::string FakeGeneration::Keep(const v1::TurnRequest& turn) {
  absl::MutexLock lock(&mutex_);
  turns_.push_back(turn);
  if (!turn.session_id().empty()) return turn.session_id();
  return absl::StrCat("session ", turns_.size());
}

grpc::Status FakeGeneration::Converse(grpc::ServerContext* /*context*/,
                                      Stream* stream) {
  v1::ConverseRequest request;
  while (stream->Read(&request)) {
    if (!request.has_start()) continue;  // a cancel that came too late
    stream->Write(Started<v1::ConverseResponse>(Keep(request.start())));
    stream->Write(Tokens<v1::ConverseResponse>(0, 1));
    if (!error.ok()) return ToGrpcStatus(error);
    stream->Write(Tokens<v1::ConverseResponse>(1, 4));
    if (ends_early) return grpc::Status::OK;
    v1::FinishReason reason = v1::FINISH_REASON_LENGTH;
    if (waits_for_cancel) {
      while (stream->Read(&request) && !request.has_cancel()) {
      }
      reason = v1::FINISH_REASON_CANCELLED;
    }
    stream->Write(Ended<v1::ConverseResponse>(reason));
  }
  return grpc::Status::OK;
}

grpc::Status FakeGeneration::Generate(
    grpc::ServerContext* context, const v1::GenerateRequest* request,
    grpc::ServerWriter<v1::GenerateResponse>* out) {
  out->Write(Started<v1::GenerateResponse>(Keep(request->turn())));
  out->Write(Tokens<v1::GenerateResponse>(0, 1));
  if (!error.ok()) return ToGrpcStatus(error);
  out->Write(Tokens<v1::GenerateResponse>(1, 4));
  if (ends_early) return grpc::Status::OK;
  while (waits_for_cancel && !context->IsCancelled()) {
    std::this_thread::yield();
  }
  out->Write(Ended<v1::GenerateResponse>(v1::FINISH_REASON_LENGTH));
  return grpc::Status::OK;
}

}  // namespace tandem::load
