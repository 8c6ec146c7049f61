#include "tests/services/coordinator/service_fixture.h"

#include <grpcpp/create_channel.h>

#include <algorithm>
#include <utility>

#include "services/access/caller.h"
#include "services/common/channel.h"

namespace tandem {

void Outcome::Add(const v1::ConverseResponse& event) {
  if (event.has_started()) {
    EXPECT_FALSE(has_started);
    has_started = true;
    started = event.started();
  } else if (event.has_tokens()) {
    EXPECT_TRUE(has_started);
    EXPECT_EQ(event.tokens().first_token(),
              static_cast<int64_t>(tokens.size()));
    EXPECT_GT(event.tokens().token_ids_size(), 0);
    int in_rounds = 0;
    for (const v1::VerifiedRound& round : event.tokens().rounds()) {
      EXPECT_LE(round.accepted_tokens(), round.drafted_tokens());
      in_rounds += round.tokens();
    }
    EXPECT_EQ(in_rounds, event.tokens().token_ids_size());
    tokens.insert(tokens.end(), event.tokens().token_ids().begin(),
                  event.tokens().token_ids().end());
    text += event.tokens().text();
  } else {
    EXPECT_TRUE(event.has_ended());
    EXPECT_FALSE(has_ended);
    has_ended = true;
    ended = event.ended();
    text += ended.text();
  }
}

void ServiceFixture::Client::Start(const std::string& session_id,
                                   const std::string& text, int max_tokens) {
  v1::ConverseRequest request;
  *request.mutable_start() = Request(text, max_tokens).turn();
  request.mutable_start()->set_session_id(session_id);
  EXPECT_TRUE(stream->Write(request));
}

void ServiceFixture::Client::Cancel() {
  v1::ConverseRequest request;
  request.mutable_cancel();
  EXPECT_TRUE(stream->Write(request));
}

void ServiceFixture::Client::Read(Outcome* outcome, int64_t tokens) {
  v1::ConverseResponse event;
  while (!outcome->has_ended &&
         static_cast<int64_t>(outcome->tokens.size()) < tokens &&
         stream->Read(&event)) {
    outcome->Add(event);
  }
}

grpc::Status ServiceFixture::Client::Finish() {
  stream->WritesDone();
  v1::ConverseResponse event;
  while (stream->Read(&event)) {
  }
  return stream->Finish();
}

CoordinatorOptions ServiceFixture::Options() const {
  CoordinatorOptions options;
  options.listen = "127.0.0.1:0";
  if (target_ != nullptr) options.workers.targets = {target_->address()};
  if (draft_ != nullptr) options.workers.drafts = {draft_->address()};
  options.workers.backoff_min = std::chrono::milliseconds(10);
  options.workers.backoff_max = std::chrono::milliseconds(100);
  options.turn_limits.recovery_poll = std::chrono::milliseconds(10);
  return options;
}

void ServiceFixture::StartAll() {
  target_ = std::make_unique<FakeWorker>();
  draft_ = std::make_unique<FakeWorker>(
      FakeWorkerOptions{.role = v1::WORKER_ROLE_DRAFT});
  StartCoordinator(Options());
  WaitFor([this] {
    grpc::ClientContext context;
    v1::ListModelsResponse models;
    const grpc::Status status =
        stub_->ListModels(&context, v1::ListModelsRequest(), &models);
    return status.ok() && models.models_size() == 1 &&
           models.models(0).draft_workers() == 1;
  });
}

void ServiceFixture::StartCoordinator(CoordinatorOptions options) {
  auto server = CoordinatorServer::Start(options);
  ASSERT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
  stub_ = v1::GenerationService::NewStub(
      MakeChannel(server_->address(), grpc::InsecureChannelCredentials()));
}

std::unique_ptr<ServiceFixture::Client> ServiceFixture::Connect() const {
  auto client = std::make_unique<Client>();
  client->stream = stub_->Converse(&client->context);
  return client;
}

v1::GenerateRequest ServiceFixture::Request(const std::string& text,
                                            int max_tokens) {
  v1::GenerateRequest request;
  request.mutable_turn()->set_text(text);
  request.mutable_turn()->mutable_options()->set_max_tokens(max_tokens);
  return request;
}

Outcome ServiceFixture::Generate(const v1::GenerateRequest& request) const {
  Outcome outcome;
  grpc::ClientContext context;
  const auto reader = stub_->Generate(&context, request);
  v1::GenerateResponse response;
  while (reader->Read(&response)) {
    v1::ConverseResponse event;
    if (response.has_started()) *event.mutable_started() = response.started();
    if (response.has_tokens()) *event.mutable_tokens() = response.tokens();
    if (response.has_ended()) *event.mutable_ended() = response.ended();
    outcome.Add(event);
  }
  outcome.status = reader->Finish();
  return outcome;
}

std::vector<TokenId> ServiceFixture::PromptOf(const std::string& text) {
  return FakeTokenizer()->Encode(text, /*add_bos=*/true);
}

TurnSpec ServiceFixture::SpecOf(std::vector<TokenId> prompt, int max_tokens) {
  TurnSpec spec;
  spec.prompt = std::move(prompt);
  spec.options.max_tokens = max_tokens;
  spec.options.seed = 1;
  spec.context_max = 100000;
  return spec;
}

void ServiceFixture::ExpectPlain(const Outcome& outcome,
                                 std::vector<TokenId> prompt, int max_tokens) {
  const PlainResult plain = PlainRun(SpecOf(prompt, max_tokens));
  ASSERT_TRUE(outcome.has_started);
  ASSERT_TRUE(outcome.has_ended);
  EXPECT_EQ(outcome.tokens, plain.tokens);
  EXPECT_EQ(outcome.text, plain.text);
  EXPECT_EQ(outcome.started.prompt_tokens(),
            static_cast<int64_t>(prompt.size()));
  EXPECT_EQ(outcome.ended.finish_reason(),
            plain.reason == FinishReason::kStopToken
                ? v1::FINISH_REASON_STOP_TOKEN
                : v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(outcome.ended.usage().generated_tokens(),
            static_cast<int64_t>(plain.tokens.size()));
  // The fake worker tells the bytes of the tenant's name.
  EXPECT_EQ(outcome.ended.usage().cached_prompt_tokens(),
            std::min<int64_t>(absl::string_view(kDefaultTenant).size(),
                              static_cast<int64_t>(prompt.size())));
}

}  // namespace tandem
