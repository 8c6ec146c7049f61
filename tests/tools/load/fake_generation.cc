#include "tests/tools/load/fake_generation.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "services/common/channel.h"
#include "services/common/status_conversion.h"

namespace tandem::load {
namespace {

v1::ConverseResponse Started(const std::string& session_id) {
  v1::ConverseResponse response;
  response.mutable_started()->set_session_id(session_id);
  return response;
}

v1::ConverseResponse Tokens(int first, int count) {
  v1::ConverseResponse response;
  response.mutable_tokens()->set_first_token(first);
  for (int i = 0; i < count; ++i) {
    response.mutable_tokens()->add_token_ids(100 + i);
  }
  return response;
}

v1::ConverseResponse Ended(v1::FinishReason reason) {
  v1::ConverseResponse response;
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
    stream->Write(Started(Keep(request.start())));
    stream->Write(Tokens(0, 1));
    if (!error.ok()) return ToGrpcStatus(error);
    stream->Write(Tokens(1, 4));
    if (ends_early) return grpc::Status::OK;
    v1::FinishReason reason = v1::FINISH_REASON_LENGTH;
    if (waits_for_cancel) {
      while (stream->Read(&request) && !request.has_cancel()) {
      }
      reason = v1::FINISH_REASON_CANCELLED;
    }
    stream->Write(Ended(reason));
  }
  return grpc::Status::OK;
}

}  // namespace tandem::load
