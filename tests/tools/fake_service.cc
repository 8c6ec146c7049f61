#include "tests/tools/fake_service.h"

#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/error_reason.h"
#include "engine/base/status.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server_builder.h"
#include "services/common/channel.h"
#include "services/common/options_conversion.h"
#include "services/common/status_conversion.h"
#include "services/common/turn_conversion.h"

namespace tandem::cli {
namespace {

TokenId TokenOf(const v1::TurnRequest& turn, size_t index) {
  return 1000 * turn.options().choice() + 100 + static_cast<TokenId>(index);
}

}  // namespace

FakeService::FakeService() {
  grpc::ServerBuilder builder;
  ConfigureServer(&builder);
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  builder.RegisterService(this);
  builder.RegisterService(&admin_);
  server_ = builder.BuildAndStart();
  TANDEM_CHECK(server_ != nullptr);
  address_ = absl::StrCat("127.0.0.1:", port);
}

FakeService::~FakeService() { server_->Shutdown(); }

void FakeService::SetServing(const std::string& service, bool serving) {
  server_->GetHealthCheckService()->SetServingStatus(service, serving);
}

v1::TurnRequest FakeService::last_turn() const {
  absl::MutexLock lock(&mutex_);
  return turns_.empty() ? v1::TurnRequest() : turns_.back();
}

std::vector<v1::TurnRequest> FakeService::turns() const {
  absl::MutexLock lock(&mutex_);
  return turns_;
}

v1::TokenizeRequest FakeService::last_tokenize() const {
  absl::MutexLock lock(&mutex_);
  return last_tokenize_;
}

v1::DetokenizeRequest FakeService::last_detokenize() const {
  absl::MutexLock lock(&mutex_);
  return last_detokenize_;
}

std::vector<v1::ScoreRequest> FakeService::scored() const {
  absl::MutexLock lock(&mutex_);
  return scored_;
}

v1::ListSessionsRequest FakeService::last_list() const {
  absl::MutexLock lock(&mutex_);
  return last_list_;
}

v1::DeleteSessionRequest FakeService::last_delete() const {
  absl::MutexLock lock(&mutex_);
  return last_delete_;
}

std::string FakeService::last_authorization() const {
  absl::MutexLock lock(&mutex_);
  return last_authorization_;
}

void FakeService::NoteAuthorization(const grpc::ServerContext& context) {
  const auto found = context.client_metadata().find(kAuthorizationKey);
  absl::MutexLock lock(&mutex_);
  last_authorization_.clear();
  if (found != context.client_metadata().end()) {
    last_authorization_.assign(found->second.data(), found->second.size());
  }
}

v1::Receipt FakeService::ReceiptOf(const v1::TurnRequest& turn) const {
  const std::vector<TokenId> prompt(turn.text().begin(), turn.text().end());
  std::vector<TokenId> generated;
  for (size_t i = 0; i < texts.size(); ++i) {
    generated.push_back(TokenOf(turn, i));
  }
  GenOptions options = FromProto(turn.options());
  if (!options.seed.has_value()) options.seed = 0;
  return MakeReceipt({.model_id = "tales",
                      .fingerprint = fingerprint,
                      .prompt = prompt,
                      .options = options,
                      .generated = generated});
}

void FakeService::SendTokens(const v1::TurnRequest& turn, Stream* stream) {
  for (int i = 0; turn.has_prompt_logprobs() && i < scored_tokens; ++i) {
    v1::ConverseResponse response;
    response.mutable_prompt()->set_first_token(i);
    response.mutable_prompt()->add_token_ids(10 + i);
    response.mutable_prompt()->add_logprobs()->set_logprob(-0.5f * i);
    stream->Write(response);
  }
  for (size_t i = 0; i < texts.size(); ++i) {
    v1::ConverseResponse response;
    v1::TokensGenerated* tokens = response.mutable_tokens();
    tokens->set_first_token(static_cast<int64_t>(i));
    tokens->add_token_ids(TokenOf(turn, i));
    tokens->set_text(texts[i]);
    if (i < replies.size()) *tokens->mutable_reply() = replies[i];
    v1::VerifiedRound* round = tokens->add_rounds();
    round->set_drafted_tokens(4);
    round->set_accepted_tokens(accepted_tokens);
    round->set_tokens(1);
    if (turn.options().has_logprobs()) {
      v1::PositionLogprobs* logprobs = tokens->add_logprobs();
      logprobs->set_logprob(-0.5);
      v1::TokenLogprob* best = logprobs->add_alternatives();
      best->set_token_id(7);
      best->set_logprob(-0.25);
    }
    stream->Write(response);
  }
}

grpc::Status FakeService::Converse(grpc::ServerContext* context,
                                   Stream* stream) {
  NoteAuthorization(*context);
  if (!error.ok() && errors_max-- > 0) return ToGrpcStatus(error);
  v1::ConverseRequest request;
  if (!stream->Read(&request)) return grpc::Status::OK;
  {
    absl::MutexLock lock(&mutex_);
    turns_.push_back(request.start());
  }
  if (forgets_sessions && !request.start().session_id().empty()) {
    return ToGrpcStatus(MakeError(absl::StatusCode::kNotFound,
                                  {.reason = kReasonUnknownSession},
                                  "no such session"));
  }
  v1::ConverseResponse response;
  v1::TurnStarted* started = response.mutable_started();
  started->set_session_id("0123456789abcdef0123456789abcdef");
  started->set_turn(turn_number);
  started->set_model_id("tales");
  started->set_fingerprint(fingerprint);
  started->set_seed(request.start().options().seed());
  started->set_prompt_tokens(5);
  stream->Write(response);
  SendTokens(request.start(), stream);
  if (end_early) return grpc::Status::OK;
  v1::TurnEnded ended;
  ended.set_finish_reason(v1::FINISH_REASON_LENGTH);
  if (wait_for_cancel) {
    while (stream->Read(&request) && !request.has_cancel()) {
    }
    ended.set_finish_reason(v1::FINISH_REASON_CANCELLED);
  }
  ended.set_text(held_back);
  ended.mutable_usage()->set_prompt_tokens(5);
  ended.mutable_usage()->set_generated_tokens(
      static_cast<int64_t>(texts.size()));
  if (gives_receipts && !wait_for_cancel) {
    *ended.mutable_receipt() = ReceiptOf(request.start());
  }
  v1::SpeculationStats* stats = ended.mutable_speculation();
  stats->set_rounds(1);
  stats->set_drafted_tokens(4);
  stats->set_accepted_tokens(1);
  stats->set_draft_us(100000);
  stats->set_verify_us(200000);
  stats->set_rpc_us(50000);
  stats->set_first_token_us(120000);
  stats->set_total_us(500000);
  *response.mutable_ended() = ended;
  stream->Write(response);
  while (stream->Read(&request)) {  // until the client half-closes
  }
  return grpc::Status::OK;
}

grpc::Status FakeService::Tokenize(grpc::ServerContext* context,
                                   const v1::TokenizeRequest* request,
                                   v1::TokenizeResponse* response) {
  NoteAuthorization(*context);
  if (!error.ok()) return ToGrpcStatus(error);
  absl::MutexLock lock(&mutex_);
  last_tokenize_ = *request;
  if (request->add_bos()) response->add_token_ids(1);
  for (const char c : request->text()) response->add_token_ids(c);
  return grpc::Status::OK;
}

grpc::Status FakeService::Score(grpc::ServerContext* context,
                                const v1::ScoreRequest* request,
                                v1::ScoreResponse* response) {
  NoteAuthorization(*context);
  if (!error.ok()) return ToGrpcStatus(error);
  absl::MutexLock lock(&mutex_);
  scored_.push_back(*request);
  response->set_model_id("model");
  response->set_fingerprint("fp");
  response->set_prompt_tokens(static_cast<int64_t>(request->text().size()));
  for (const v1::Continuation& continuation : request->continuations()) {
    v1::ContinuationScore* score = response->add_scores();
    for (const char c : continuation.text()) score->add_token_ids(c);
    for (const int32_t id : continuation.tokens().ids()) {
      score->add_token_ids(id);
    }
    for (int i = 0; i < score->token_ids_size(); ++i) {
      score->add_logprobs(std::log(0.25f));
      score->set_logprob(score->logprob() + std::log(0.25));
    }
    score->set_is_greedy(absl::StartsWith(continuation.text(), "a"));
  }
  return grpc::Status::OK;
}

grpc::Status FakeService::Detokenize(grpc::ServerContext* context,
                                     const v1::DetokenizeRequest* request,
                                     v1::DetokenizeResponse* response) {
  NoteAuthorization(*context);
  if (!error.ok()) return ToGrpcStatus(error);
  absl::MutexLock lock(&mutex_);
  last_detokenize_ = *request;
  for (const int32_t id : request->token_ids()) {
    response->mutable_text()->push_back(static_cast<char>(id));
  }
  return grpc::Status::OK;
}

grpc::Status FakeService::Admin::GetStatus(
    grpc::ServerContext* context, const v1::GetStatusRequest* /*request*/,
    v1::GetStatusResponse* response) {
  fake_->NoteAuthorization(*context);
  if (!fake_->error.ok()) return ToGrpcStatus(fake_->error);
  *response = fake_->status;
  return grpc::Status::OK;
}

grpc::Status FakeService::Admin::ListSessions(
    grpc::ServerContext* /*context*/, const v1::ListSessionsRequest* request,
    v1::ListSessionsResponse* response) {
  if (!fake_->error.ok()) return ToGrpcStatus(fake_->error);
  size_t page = 0;
  TANDEM_CHECK(request->page_token().empty() ||
               absl::SimpleAtoi(request->page_token(), &page));
  *response = fake_->session_pages.at(page);
  absl::MutexLock lock(&fake_->mutex_);
  fake_->last_list_ = *request;
  return grpc::Status::OK;
}

grpc::Status FakeService::Admin::ShowSession(
    grpc::ServerContext* /*context*/, const v1::ShowSessionRequest* /*request*/,
    v1::ShowSessionResponse* response) {
  if (!fake_->error.ok()) return ToGrpcStatus(fake_->error);
  *response = fake_->session;
  return grpc::Status::OK;
}

grpc::Status FakeService::Admin::DeleteSession(
    grpc::ServerContext* /*context*/, const v1::DeleteSessionRequest* request,
    v1::DeleteSessionResponse* /*response*/) {
  if (!fake_->error.ok()) return ToGrpcStatus(fake_->error);
  absl::MutexLock lock(&fake_->mutex_);
  fake_->last_delete_ = *request;
  return grpc::Status::OK;
}

grpc::Status FakeService::ListModels(grpc::ServerContext* context,
                                     const v1::ListModelsRequest* /*request*/,
                                     v1::ListModelsResponse* response) {
  NoteAuthorization(*context);
  if (!error.ok()) return ToGrpcStatus(error);
  v1::ModelInfo* model = response->add_models();
  model->set_model_id("tales");
  model->set_fingerprint("0123456789abcdef0123456789abcdef");
  model->set_vocabulary_fingerprint("beef");
  model->set_numerics("int8");
  model->set_context_max(1024);
  model->set_vocab_size(4096);
  model->set_target_workers(2);
  model->set_draft_workers(1);
  if (has_chat_template) {
    model->set_chat_template("default");
    model->add_chat_template_names("default");
    model->set_tool_format("hermes");
    model->set_has_reasoning(true);
  }
  return grpc::Status::OK;
}

}  // namespace tandem::cli
