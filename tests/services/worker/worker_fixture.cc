#include "tests/services/worker/worker_fixture.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "services/common/channel.h"
#include "services/common/options_conversion.h"
#include "services/common/status_conversion.h"

namespace tandem {

void SetTestDeadline(grpc::ClientContext* context) {
  context->set_deadline(std::chrono::system_clock::now() +
                        std::chrono::seconds(kCallSecondsMax));
}

SequenceDecoderOptions OpenRequestOptions(const std::vector<TokenId>& tokens,
                                          Position tokens_max) {
  SequenceDecoderOptions options;
  options.tokens = tokens;
  options.generated_from = static_cast<Position>(tokens.size());
  options.tokens_max = tokens_max;
  options.options.seed = 7;
  options.options.ignore_eos = true;
  options.options.logprobs = 2;
  return options;
}

v1::DecodeRequest OpenRequest(const std::vector<TokenId>& tokens,
                              Position tokens_max) {
  const SequenceDecoderOptions options = OpenRequestOptions(tokens, tokens_max);
  v1::DecodeRequest request;
  v1::OpenSequence* open = request.mutable_open();
  open->set_session_id("session");
  open->set_turn(1);
  open->mutable_tokens()->Add(tokens.begin(), tokens.end());
  open->set_generated_from(options.generated_from);
  open->set_tokens_max(tokens_max);
  *open->mutable_options() = ToProto(options.options);
  return request;
}

v1::DecodeRequest ProposeRequest(Position position,
                                 const std::vector<TokenId>& tokens,
                                 int draft_length) {
  v1::DecodeRequest request;
  v1::ProposeTokens* propose = request.mutable_propose();
  propose->set_position(position);
  propose->mutable_tokens()->Add(tokens.begin(), tokens.end());
  propose->set_draft_length(draft_length);
  return request;
}

v1::DecodeRequest VerifyRequest(Position position,
                                const std::vector<TokenId>& tokens,
                                const std::vector<TokenId>& draft) {
  v1::DecodeRequest request;
  v1::VerifyTokens* verify = request.mutable_verify();
  verify->set_position(position);
  verify->mutable_tokens()->Add(tokens.begin(), tokens.end());
  verify->mutable_draft()->Add(draft.begin(), draft.end());
  return request;
}

DecodeCall::DecodeCall(v1::WorkerService::StubInterface* stub) {
  SetTestDeadline(&context_);
  stream_ = stub->Decode(&context_);
}

DecodeCall::~DecodeCall() {
  if (finished_) return;
  Cancel();
  Finish();
}

bool DecodeCall::Write(const v1::DecodeRequest& request) {
  return stream_->Write(request);
}

std::optional<v1::DecodeResponse> DecodeCall::Read() {
  v1::DecodeResponse response;
  if (!stream_->Read(&response)) return std::nullopt;
  return response;
}

grpc::Status DecodeCall::Finish() {
  while (Read().has_value()) {
  }
  finished_ = true;
  return stream_->Finish();
}

WorkerFixture::~WorkerFixture() {
  if (engine_ != nullptr) engine_->OpenGate();
  if (server_ == nullptr) return;
  service_.StartDraining();
  service_.EndWatches();
  server_->Shutdown(std::chrono::system_clock::now());
}

void WorkerFixture::Listen() {
  grpc::ServerBuilder builder;
  ConfigureServer(&builder);
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port_);
  service_.AddTo(&builder);
  server_ = builder.BuildAndStart();
  ASSERT_NE(server_, nullptr);
  stub_ = NewStub();
}

void WorkerFixture::Start(v1::WorkerRole role,
                          const FakeEngineOptions& options) {
  SetModel(role, options);
  Listen();
}

void WorkerFixture::SetModel(v1::WorkerRole role,
                             const FakeEngineOptions& options) {
  auto engine = std::make_unique<GatedEngine>(options);
  engine_ = engine.get();
  WorkerModelParts parts;
  parts.info.role = role;
  parts.info.model_id = "fake-model";
  parts.info.fingerprint = "fake-fingerprint";
  parts.info.vocabulary_fingerprint = "fake-vocabulary";
  parts.info.numerics = "int8";
  parts.info.context_max = engine->info().context_max;
  parts.info.vocab_size = engine->info().vocab_size;
  parts.tokenizer_image = tokenizer_image_;
  parts.engine = std::move(engine);
  service_.SetModel(std::move(parts));
}

std::vector<TokenId> Ids(const std::vector<SampledToken>& tokens) {
  std::vector<TokenId> ids;
  for (const SampledToken& token : tokens) ids.push_back(token.id);
  return ids;
}

std::vector<TokenId> Ids(const v1::DecodedTokens& tokens) {
  return {tokens.token_ids().begin(), tokens.token_ids().end()};
}

void ExpectEnd(DecodeCall* call, grpc::StatusCode code,
               const std::string& reason) {
  const grpc::Status status = call->Finish();
  EXPECT_EQ(status.error_code(), code) << status.error_message();
  const std::optional<ErrorDetail> detail =
      GetErrorDetail(FromGrpcStatus(status));
  EXPECT_EQ(detail.has_value() ? detail->reason : "", reason)
      << status.error_message();
}

void WaitForLoad(
    v1::WorkerService::StubInterface* stub,
    const std::function<bool(const v1::WatchResponse&)>& condition) {
  grpc::ClientContext context;
  SetTestDeadline(&context);
  const auto reader = stub->Watch(&context, v1::WatchRequest());
  v1::WatchResponse report;
  bool found = false;
  while (!found && reader->Read(&report)) found = condition(report);
  context.TryCancel();
  while (reader->Read(&report)) {
  }
  reader->Finish();
  EXPECT_TRUE(found) << "the last report was " << report.ShortDebugString();
}

std::unique_ptr<v1::WorkerService::Stub> WorkerFixture::NewStub() const {
  return v1::WorkerService::NewStub(MakeChannel(
      absl::StrCat("127.0.0.1:", port_), grpc::InsecureChannelCredentials()));
}

}  // namespace tandem
