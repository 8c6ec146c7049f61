#include "services/coordinator/client/client_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "engine/base/error_reason.h"
#include "services/common/status_conversion.h"
#include "tests/services/coordinator/service_fixture.h"

namespace tandem {
namespace {

std::string ReasonOf(const grpc::Status& status) {
  const std::optional<ErrorDetail> detail =
      GetErrorDetail(FromGrpcStatus(status));
  return detail.has_value() ? detail->reason : "";
}

std::string FieldOf(const grpc::Status& status) {
  const std::optional<ErrorDetail> detail =
      GetErrorDetail(FromGrpcStatus(status));
  return !detail.has_value() || detail->violations.empty()
             ? ""
             : detail->violations[0].field;
}

class ClientStreamTest : public ServiceFixture {
 protected:
  // A prompt whose plain text is long, so that a turn can be met on its way.
  static constexpr int kLong = 100000;

  v1::ConverseRequest ResumeRequest(const Outcome& outcome) {
    v1::ConverseRequest request;
    v1::ResumeRequest& resume = *request.mutable_resume();
    resume.set_session_id(outcome.started.session_id());
    resume.set_turn(outcome.started.turn());
    resume.set_tokens_received(static_cast<int64_t>(outcome.tokens.size()));
    resume.set_text_bytes_received(static_cast<int64_t>(outcome.text.size()));
    return request;
  }
  void StartLong(Client* client, const std::string& session_id,
                 const std::string& text) {
    v1::ConverseRequest request;
    *request.mutable_start() = ServiceFixture::Request(text, kLong).turn();
    request.mutable_start()->set_session_id(session_id);
    request.mutable_start()->mutable_options()->set_ignore_eos(true);
    ASSERT_TRUE(client->stream->Write(request));
  }
  PlainResult LongPlain(std::vector<TokenId> prompt, int64_t tokens) {
    TurnSpec spec = SpecOf(std::move(prompt), static_cast<int>(tokens));
    spec.options.ignore_eos = true;
    return PlainRun(spec);
  }
  std::vector<TokenId> Continued(std::vector<TokenId> history,
                                 const std::vector<TokenId>& generated,
                                 const std::string& text) {
    history.insert(history.end(), generated.begin(), generated.end());
    const std::vector<TokenId> more =
        FakeTokenizer()->Encode(text, /*add_bos=*/false);
    history.insert(history.end(), more.begin(), more.end());
    return history;
  }
  // What the client got is how a plain run begins.
  void ExpectBeginsAsPlain(const Outcome& outcome,
                           const std::vector<TokenId>& prompt) {
    const PlainResult plain =
        LongPlain(prompt, static_cast<int64_t>(outcome.tokens.size()));
    EXPECT_EQ(outcome.tokens, plain.tokens);
    EXPECT_EQ(outcome.text, plain.text);
  }
};

TEST_F(ClientStreamTest, TwoTurnsACancelAndAThird) {
  StartAll();
  const std::unique_ptr<Client> client = Connect();
  Outcome first;
  client->Start("", "w1 w2", 50);
  client->Read(&first);
  std::vector<TokenId> prompt = PromptOf("w1 w2");
  ExpectPlain(first, prompt, 50);

  Outcome second;
  const std::string session = first.started.session_id();
  StartLong(client.get(), session, "w3");
  client->Read(&second, 30);
  client->Cancel();
  client->Read(&second);
  ASSERT_TRUE(second.has_ended);
  EXPECT_EQ(second.started.turn(), 2);
  EXPECT_EQ(second.ended.finish_reason(), v1::FINISH_REASON_CANCELLED);
  prompt = Continued(prompt, first.tokens, "w3");
  EXPECT_EQ(second.started.prompt_tokens(),
            static_cast<int64_t>(prompt.size()));
  ExpectBeginsAsPlain(second, prompt);

  Outcome third;
  client->Start(session, "w4", 40);
  client->Read(&third);
  EXPECT_EQ(third.started.turn(), 3);
  EXPECT_EQ(third.started.session_id(), session);
  ExpectPlain(third, Continued(prompt, second.tokens, "w4"), 40);
  client->Cancel();  // nothing is under way: nothing happens
  EXPECT_TRUE(client->Finish().ok());
  EXPECT_EQ(server_->sessions(), 1);
  WaitFor([this] {
    return target_->service().streams == 0 && draft_->service().streams == 0;
  });
  EXPECT_EQ(server_->turns(), 0);
}

TEST_F(ClientStreamTest, PartsOfAPromptComeBeforeItsTurn) {
  StartAll();
  const std::unique_ptr<Client> client = Connect();
  const auto append = [&client](const std::string& session_id,
                                const std::string& text) {
    v1::ConverseRequest request;
    request.mutable_append()->set_session_id(session_id);
    request.mutable_append()->set_text(text);
    ASSERT_TRUE(client->stream->Write(request));
  };
  append("", "w1 w");
  append("", "2 w3 ");
  Outcome first;
  client->Start("", "w4", 30);
  client->Read(&first);
  const std::vector<TokenId> prompt = PromptOf("w1 w2 w3 w4");
  ExpectPlain(first, prompt, 30);

  const std::string session = first.started.session_id();
  append(session, "w5 ");
  Outcome second;
  client->Start(session, "", 30);
  client->Read(&second);
  EXPECT_EQ(second.started.turn(), 2);
  ExpectPlain(second, Continued(prompt, first.tokens, "w5 "), 30);

  append("", "w6");
  client->Start(session, "w7", 30);
  const grpc::Status status = client->Finish();
  EXPECT_EQ(ReasonOf(status), "INVALID_OPTIONS");
  EXPECT_EQ(FieldOf(status), "start.session_id");
}

TEST_F(ClientStreamTest, ASessionGoesOnFromAnyStream) {
  StartAll();
  std::string session;
  std::vector<TokenId> prompt = PromptOf("w1");
  for (int turn = 1; turn <= 5; ++turn) {
    v1::GenerateRequest request = Request("w1", 20);
    request.mutable_turn()->set_session_id(session);
    const Outcome outcome = Generate(request);
    ASSERT_TRUE(outcome.status.ok()) << outcome.status.error_message();
    EXPECT_EQ(outcome.started.turn(), turn);
    session = outcome.started.session_id();
    ExpectPlain(outcome, prompt, 20);
    prompt = Continued(prompt, outcome.tokens, "w1");
  }
}

TEST_F(ClientStreamTest, OneStreamMayGoFromSessionToSession) {
  StartAll();
  std::vector<std::string> sessions;
  std::vector<std::vector<TokenId>> prompts;
  const std::unique_ptr<Client> client = Connect();
  for (int i = 0; i < 8; ++i) {
    Outcome outcome;
    client->Start("", "w" + std::to_string(i), 10);
    client->Read(&outcome);
    ASSERT_TRUE(outcome.has_ended);
    sessions.push_back(outcome.started.session_id());
    prompts.push_back(
        Continued(PromptOf("w" + std::to_string(i)), outcome.tokens, "w9"));
    const Outcome other = Generate(Request("w5", 5));
    sessions.push_back(other.started.session_id());
    prompts.push_back(Continued(PromptOf("w5"), other.tokens, "w9"));
  }
  for (size_t i = 0; i < sessions.size(); ++i) {
    Outcome outcome;
    client->Start(sessions[i], "w9", 10);
    client->Read(&outcome);
    ExpectPlain(outcome, prompts[i], 10);
  }
  EXPECT_TRUE(client->Finish().ok());
}

TEST_F(ClientStreamTest, ResumesAfterALostConnection) {
  StartAll();
  const std::vector<TokenId> prompt = PromptOf("w1 w2");
  std::unique_ptr<Client> client = Connect();
  Outcome outcome;
  StartLong(client.get(), "", "w1 w2");
  client->Read(&outcome, 100);
  for (int i = 0; i < 5; ++i) {
    client->context.TryCancel();
    client.reset();
    // Both KVs are freed while nobody listens.
    WaitFor([this] {
      return target_->service().streams == 0 && draft_->service().streams == 0;
    });
    client = Connect();
    ASSERT_TRUE(client->stream->Write(ResumeRequest(outcome)));
    outcome.has_started = false;
    client->Read(&outcome, static_cast<int64_t>(outcome.tokens.size()) + 100);
    EXPECT_TRUE(outcome.has_started);
  }
  client->Cancel();
  client->Read(&outcome);
  EXPECT_TRUE(client->Finish().ok());
  EXPECT_EQ(outcome.ended.finish_reason(), v1::FINISH_REASON_CANCELLED);
  EXPECT_EQ(outcome.ended.usage().generated_tokens(),
            static_cast<int64_t>(outcome.tokens.size()));
  ExpectBeginsAsPlain(outcome, prompt);
}

TEST_F(ClientStreamTest, ResumesFromAnyCountAndAlsoAfterTheEnd) {
  StartAll();
  const std::vector<TokenId> prompt = PromptOf("w1 w2");
  const Outcome whole = Generate(Request("w1 w2", 200));
  ASSERT_TRUE(whole.has_ended);
  for (const int64_t received :
       {int64_t{0}, int64_t{1}, static_cast<int64_t>(whole.tokens.size())}) {
    const std::unique_ptr<Client> client = Connect();
    Outcome replay;
    replay.started = whole.started;
    replay.tokens.assign(whole.tokens.begin(), whole.tokens.begin() + received);
    replay.text = received < 2 ? "" : whole.text;
    ASSERT_TRUE(client->stream->Write(ResumeRequest(replay)));
    client->Read(&replay);
    EXPECT_TRUE(client->Finish().ok());
    EXPECT_EQ(replay.started.seed(), whole.started.seed());
    EXPECT_EQ(replay.ended.speculation().rounds(),
              whole.ended.speculation().rounds());
    ExpectPlain(replay, prompt, 200);
  }
}

TEST_F(ClientStreamTest, AResumeTakesOverFromAStreamThatSeemsAlive) {
  StartAll();
  const std::unique_ptr<Client> old = Connect();
  Outcome outcome;
  StartLong(old.get(), "", "w1");
  old->Read(&outcome, 50);
  const std::unique_ptr<Client> client = Connect();
  ASSERT_TRUE(client->stream->Write(ResumeRequest(outcome)));
  outcome.has_started = false;
  client->Read(&outcome, 200);
  Outcome rest = outcome;
  client->Cancel();
  client->Read(&outcome);
  EXPECT_TRUE(client->Finish().ok());
  ExpectBeginsAsPlain(outcome, PromptOf("w1"));
  const grpc::Status status = old->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ABORTED);
  EXPECT_EQ(ReasonOf(status), kReasonWrongState);
}

TEST_F(ClientStreamTest, ANewStartEndsATurnThatWaits) {
  StartAll();
  std::unique_ptr<Client> client = Connect();
  Outcome outcome;
  StartLong(client.get(), "", "w1");
  client->Read(&outcome, 50);
  client->context.TryCancel();
  client.reset();
  WaitFor([this] { return server_->turns() == 0; });
  v1::GenerateRequest request = Request("w2", 10);
  request.mutable_turn()->set_session_id(outcome.started.session_id());
  const Outcome next = Generate(request);
  ASSERT_TRUE(next.status.ok()) << next.status.error_message();
  EXPECT_EQ(next.started.turn(), 2);
  // The history has all that was committed, at least what the client saw.
  EXPECT_GE(next.started.prompt_tokens(),
            static_cast<int64_t>(outcome.tokens.size()));
  client = Connect();
  ASSERT_TRUE(client->stream->Write(ResumeRequest(outcome)));
  EXPECT_EQ(ReasonOf(client->Finish()), kReasonWrongState);
}

TEST_F(ClientStreamTest, WrongOrdersAreRefused) {
  StartAll();
  std::unique_ptr<Client> client = Connect();
  Outcome outcome;
  StartLong(client.get(), "", "w1");
  client->Read(&outcome, 10);
  const std::string session = outcome.started.session_id();
  {  // another stream, the same session
    v1::GenerateRequest request = Request("w2", 10);
    request.mutable_turn()->set_session_id(session);
    const Outcome other = Generate(request);
    EXPECT_EQ(other.status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
    EXPECT_EQ(ReasonOf(other.status), kReasonWrongState);
  }
  client->Start(session, "w2", 10);  // while the first goes on
  grpc::Status status = client->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(ReasonOf(status), kReasonWrongState);

  client = Connect();  // resume must be first
  client->Cancel();
  ASSERT_TRUE(client->stream->Write(ResumeRequest(outcome)));
  EXPECT_EQ(ReasonOf(client->Finish()), kReasonWrongState);

  client = Connect();  // neither start, resume nor cancel
  ASSERT_TRUE(client->stream->Write(v1::ConverseRequest()));
  EXPECT_EQ(client->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);

  client = Connect();  // nothing at all
  EXPECT_TRUE(client->Finish().ok());

  // The session has survived all that.
  client = Connect();
  ASSERT_TRUE(client->stream->Write(ResumeRequest(outcome)));
  outcome.has_started = false;
  client->Read(&outcome, 100);
  EXPECT_GE(outcome.tokens.size(), 100u);
  client->context.TryCancel();
}

TEST_F(ClientStreamTest, BadResumesAreRefused) {
  StartAll();
  const Outcome outcome = Generate(Request("w1 w2", 100));
  const auto status_of = [this](const v1::ConverseRequest& request) {
    const std::unique_ptr<Client> client = Connect();
    EXPECT_TRUE(client->stream->Write(request));
    return client->Finish();
  };
  v1::ConverseRequest request = ResumeRequest(outcome);
  request.mutable_resume()->set_session_id("ffffffffffffffffffffffffffffffff");
  EXPECT_EQ(ReasonOf(status_of(request)), kReasonUnknownSession);
  request = ResumeRequest(outcome);
  request.mutable_resume()->set_turn(2);
  EXPECT_EQ(ReasonOf(status_of(request)), kReasonWrongState);
  for (const int64_t tokens : {-1, 101}) {
    request = ResumeRequest(outcome);
    request.mutable_resume()->set_tokens_received(tokens);
    EXPECT_EQ(FieldOf(status_of(request)), "resume.tokens_received");
  }
  for (const int64_t bytes :
       {int64_t{-1}, static_cast<int64_t>(outcome.text.size()) + 1}) {
    request = ResumeRequest(outcome);
    request.mutable_resume()->set_text_bytes_received(bytes);
    EXPECT_EQ(FieldOf(status_of(request)), "resume.text_bytes_received");
  }
}

TEST_F(ClientStreamTest, AWrongFormatIsRefusedBeforeAWorkerIsAsked) {
  StartAll();
  v1::GenerateRequest request = Request("w1", 10);
  v1::ResponseFormat& format =
      *request.mutable_turn()->mutable_options()->mutable_response_format();
  format.set_regex("a(?=b)");
  const grpc::Status status = Generate(request).status;
  EXPECT_EQ(ReasonOf(status), kReasonInvalidOptions);
  EXPECT_EQ(FieldOf(status), "turn.options.response_format.regex");
  EXPECT_NE(status.error_message().find("character"), std::string::npos);
  EXPECT_EQ(target_->service().opened, 0);
  EXPECT_EQ(draft_->service().opened, 0);
}

TEST_F(ClientStreamTest, BadTurnsNameTheField) {
  StartAll();
  const auto status_of = [this](const v1::GenerateRequest& request) {
    return Generate(request).status;
  };
  v1::GenerateRequest request = Request("w1", 10);
  request.mutable_turn()->mutable_options()->set_temperature(-1);
  grpc::Status status = status_of(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ReasonOf(status), kReasonInvalidOptions);
  EXPECT_EQ(FieldOf(status), "turn.options.temperature");

  request = Request("w1", 10);
  request.mutable_turn()->set_timeout_ms(-5);
  EXPECT_EQ(FieldOf(status_of(request)), "turn.timeout_ms");

  request = Request("", 10);
  request.mutable_turn()->mutable_tokens()->add_ids(1);
  request.mutable_turn()->mutable_tokens()->add_ids(1000000);
  status = status_of(request);
  EXPECT_EQ(ReasonOf(status), kReasonInvalidToken);
  EXPECT_EQ(FieldOf(status), "turn.tokens.ids[1]");

  request = Request("", 10);
  request.mutable_turn()->mutable_tokens();
  EXPECT_EQ(ReasonOf(status_of(request)), kReasonEmptyPrompt);
  request.mutable_turn()->clear_prompt();
  EXPECT_EQ(ReasonOf(status_of(request)), kReasonEmptyPrompt);

  request = Request("\xFF\xFE", 10);
  status = status_of(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(ReasonOf(status), kReasonInvalidText);

  request = Request("w1", 10);
  request.mutable_turn()->set_model_id("unknown");
  status = status_of(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ReasonOf(status), kReasonUnknownModel);

  request = Request("w1", 10);
  request.mutable_turn()->set_session_id("0123");
  status = status_of(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ReasonOf(status), kReasonUnknownSession);

  request = Request("", 10);
  for (int i = 0; i < 100000; ++i) {
    request.mutable_turn()->mutable_tokens()->add_ids(260);
  }
  EXPECT_EQ(ReasonOf(status_of(request)), kReasonContextExceeded);

  // On Converse the turn is `start`; nothing reached a worker, no session
  // stays.
  const std::unique_ptr<Client> client = Connect();
  v1::ConverseRequest start;
  *start.mutable_start() = Request("w1", 0).turn();
  ASSERT_TRUE(client->stream->Write(start));
  EXPECT_EQ(FieldOf(client->Finish()), "start.options.max_tokens");
  EXPECT_EQ(target_->service().opened, 0);
  EXPECT_EQ(server_->sessions(), 0);
  EXPECT_EQ(server_->turns(), 0);
}

TEST_F(ClientStreamTest, ALongTextIsTokenisedAside) {
  StartAll();
  std::string text;
  for (int i = 0; i < 2000; ++i) text += " w" + std::to_string(i % 40);
  ASSERT_GT(text.size(), kInlineTextBytes);
  const Outcome outcome = Generate(Request(text, 10));
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.error_message();
  ExpectPlain(outcome, PromptOf(text), 10);
}

TEST_F(ClientStreamTest, TheTimeoutAndTheCallsDeadlineEndATurn) {
  StartAll();
  v1::GenerateRequest request = Request("w1", kLong);
  request.mutable_turn()->mutable_options()->set_ignore_eos(true);
  request.mutable_turn()->set_timeout_ms(50);
  const Outcome outcome = Generate(request);
  ASSERT_TRUE(outcome.has_ended);
  EXPECT_EQ(outcome.ended.finish_reason(), v1::FINISH_REASON_DEADLINE);

  const std::unique_ptr<Client> client = std::make_unique<Client>();
  client->context.set_deadline(std::chrono::system_clock::now() +
                               std::chrono::milliseconds(300));
  client->stream = stub_->Converse(&client->context);
  Outcome cut;
  StartLong(client.get(), "", "w1");
  client->Read(&cut);
  EXPECT_EQ(client->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  WaitFor([this] { return target_->service().streams == 0; });
}

TEST_F(ClientStreamTest, LimitsAreToldWithAReason) {
  target_ = std::make_unique<FakeWorker>();
  CoordinatorOptions options = Options();
  options.turns_max = 1;
  options.sessions.sessions_max = 2;
  StartCoordinator(options);
  WaitFor([this] { return server_->ready(); });
  const std::unique_ptr<Client> client = Connect();
  Outcome outcome;
  StartLong(client.get(), "", "w1");
  client->Read(&outcome, 10);
  grpc::Status status = Generate(Request("w2", 10)).status;
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ReasonOf(status), kReasonExhausted);
  client->Cancel();
  client->Read(&outcome);
  EXPECT_TRUE(Generate(Request("w2", 10)).status.ok());
  // A third session goes in place of the one-shot.
  EXPECT_TRUE(Generate(Request("w3", 10)).status.ok());
  EXPECT_EQ(server_->sessions(), 2);
  Outcome next;
  client->Start(outcome.started.session_id(), "w4", 10);
  client->Read(&next);
  EXPECT_TRUE(next.has_ended);
}

TEST_F(ClientStreamTest, AQuotaIsToldAsOne) {
  target_ = std::make_unique<FakeWorker>();
  CoordinatorOptions options = Options();
  options.tenant_limits.turns_max = 1;
  StartCoordinator(options);
  WaitFor([this] { return server_->ready(); });
  const std::unique_ptr<Client> client = Connect();
  Outcome outcome;
  StartLong(client.get(), "", "w1");
  client->Read(&outcome, 10);
  const grpc::Status status = Generate(Request("w2", 10)).status;
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ReasonOf(status), kReasonExhausted);
  EXPECT_EQ(FieldOf(status), "tenant:default");
  const std::optional<ErrorDetail> detail =
      GetErrorDetail(FromGrpcStatus(status));
  EXPECT_EQ(detail->violations[0].description, "at most 1 turns at once");
  EXPECT_GE(detail->retry_delay_ms.value_or(0), 100);
  client->Cancel();
  client->Read(&outcome);
  EXPECT_TRUE(Generate(Request("w2", 10)).status.ok());
}

}  // namespace
}  // namespace tandem
