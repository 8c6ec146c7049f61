#include "services/coordinator/server/generation_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "engine/base/error_reason.h"
#include "services/common/channel.h"
#include "services/common/status_conversion.h"
#include "services/common/version.h"
#include "services/coordinator/client/client_stream.h"
#include "services/coordinator/client/prompt.h"
#include "tests/services/coordinator/service_fixture.h"

namespace tandem {
namespace {

using ::testing::ElementsAreArray;
using ::testing::IsEmpty;

std::vector<TokenId> IdsOf(v1::TurnRequest turn, std::optional<TokenId> last) {
  return EncodePrompt(*ParsePrompt(&turn), *FakeTokenizer(), last)->ids;
}

class GenerationServiceTest : public ServiceFixture {
 protected:
  void SetUp() override { StartAll(); }

  grpc::Status Tokenize(const v1::TokenizeRequest& request,
                        v1::TokenizeResponse* response) {
    grpc::ClientContext context;
    return stub_->Tokenize(&context, request, response);
  }
  grpc::Status Detokenize(const v1::DetokenizeRequest& request,
                          v1::DetokenizeResponse* response) {
    grpc::ClientContext context;
    return stub_->Detokenize(&context, request, response);
  }
};

TEST_F(GenerationServiceTest, TokenizesShortAndLongTexts) {
  std::string text = "w1 \xC3\xA4";
  for (int i = 0; i < 2; ++i) {
    v1::TokenizeRequest request;
    request.set_text(text);
    v1::TokenizeResponse response;
    ASSERT_TRUE(Tokenize(request, &response).ok());
    EXPECT_THAT(response.token_ids(), ElementsAreArray(PromptOf(text)));
    request.set_add_bos(false);
    ASSERT_TRUE(Tokenize(request, &response).ok());
    EXPECT_THAT(response.token_ids(),
                ElementsAreArray(FakeTokenizer()->Encode(text, false)));
    v1::DetokenizeRequest back;
    *back.mutable_token_ids() = response.token_ids();
    v1::DetokenizeResponse again;
    ASSERT_TRUE(Detokenize(back, &again).ok());
    EXPECT_EQ(again.text(), text);
    for (int more = 0; more < 3000; ++more) text += " x";
  }
}

TEST_F(GenerationServiceTest, TheEmptyTextHasNoTokens) {
  v1::TokenizeRequest request;
  request.set_add_bos(false);
  v1::TokenizeResponse response;
  ASSERT_TRUE(Tokenize(request, &response).ok());
  EXPECT_THAT(response.token_ids(), IsEmpty());
}

TEST_F(GenerationServiceTest, DetokenizesBytesThatAreNoText) {
  v1::DetokenizeRequest request;
  request.add_token_ids(1);        // control: left out
  request.add_token_ids(3 + 'a');  // bytes
  request.add_token_ids(3 + 0xFF);
  v1::DetokenizeResponse response;
  ASSERT_TRUE(Detokenize(request, &response).ok());
  EXPECT_EQ(response.text(), "a\xEF\xBF\xBD");
  request.add_token_ids(-1);
  const grpc::Status status = Detokenize(request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  const auto detail = GetErrorDetail(FromGrpcStatus(status));
  EXPECT_EQ(detail->reason, kReasonInvalidToken);
  EXPECT_EQ(detail->violations[0].field, "token_ids[3]");
}

// Two bytes of a message may stand for much text.
TEST_F(GenerationServiceTest, DetokenizesToOneMessageAtMost) {
  TokenId last = 0;
  while (FakeTokenizer()->TokenText(last, true) != "last") ++last;
  constexpr int kTokensMax = kRequestBytesMax / 4;
  v1::DetokenizeRequest request;
  for (int i = 0; i < kTokensMax + 1; ++i) request.add_token_ids(last);
  v1::DetokenizeResponse response;
  const grpc::Status status = Detokenize(request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  const auto detail = GetErrorDetail(FromGrpcStatus(status));
  EXPECT_EQ(detail->reason, kReasonInvalidOptions);
  EXPECT_EQ(detail->violations[0].field, "token_ids");
  request.mutable_token_ids()->Truncate(kTokensMax / 2);
  ASSERT_TRUE(Detokenize(request, &response).ok());
  EXPECT_EQ(response.text().size(), size_t{kTokensMax / 2 * 4});
}

TEST_F(GenerationServiceTest, ScoresContinuations) {
  v1::ScoreRequest request;
  request.set_text("w1 w2");
  request.add_continuations()->set_text(" w3");
  request.add_continuations()->mutable_tokens()->add_ids(7);
  grpc::ClientContext context;
  v1::ScoreResponse response;
  const grpc::Status status = stub_->Score(&context, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(response.model_id(), "fake");
  EXPECT_EQ(response.fingerprint(), "fingerprint-1");
  std::vector<TokenId> tokens = PromptOf("w1 w2");
  EXPECT_EQ(response.prompt_tokens(), static_cast<int64_t>(tokens.size()));
  ASSERT_EQ(response.scores_size(), 2);
  tokens.push_back(7);
  EXPECT_EQ(response.scores(1).logprob(),
            FakeScores(tokens, response.prompt_tokens(), 1)[0].token.logprob);
  const std::vector<TokenId> whole = PromptOf("w1 w2 w3");
  EXPECT_THAT(
      response.scores(0).token_ids(),
      ElementsAreArray(whole.begin() + response.prompt_tokens(), whole.end()));
}

TEST_F(GenerationServiceTest, AScoreEndsWithItsClientsTime) {
  target_->service().hold = true;
  v1::ScoreRequest request;
  request.set_text("w1 w2");
  request.add_continuations()->set_text(" w3");
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::milliseconds(100));
  v1::ScoreResponse response;
  EXPECT_EQ(stub_->Score(&context, request, &response).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  WaitFor([this] { return target_->service().streams == 0; });
  WaitFor([this] { return server_->turns() == 0; });
}

TEST_F(GenerationServiceTest, AScoreRefusesWhatIsWrong) {
  v1::ScoreRequest request;
  request.set_text("w1");
  v1::ScoreResponse response;
  grpc::ClientContext context;
  grpc::Status status = stub_->Score(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(GetErrorDetail(FromGrpcStatus(status))->violations[0].field,
            "continuations");
  request.set_text("\xC0\x80");
  grpc::ClientContext malformed;
  status = stub_->Score(&malformed, request, &response);
  EXPECT_EQ(GetErrorDetail(FromGrpcStatus(status))->reason, kReasonInvalidText);
}

TEST_F(GenerationServiceTest, RefusesTextThatIsNotUtf8AndUnknownModels) {
  v1::TokenizeRequest request;
  request.set_text("\xC0\x80");
  v1::TokenizeResponse response;
  grpc::Status status = Tokenize(request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(GetErrorDetail(FromGrpcStatus(status))->reason, kReasonInvalidText);
  request.set_text("a");
  request.set_model_id("unknown");
  status = Tokenize(request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  v1::DetokenizeRequest detokenize;
  detokenize.set_model_id("unknown");
  v1::DetokenizeResponse text;
  status = Detokenize(detokenize, &text);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(GenerationServiceTest, AMalformedMessageOnAStreamIsTold) {
  const std::unique_ptr<Client> client = Connect();
  client->Start("", "\xFF", 10);
  const grpc::Status status = client->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(GetErrorDetail(FromGrpcStatus(status))->reason, kReasonInvalidText);
}

TEST_F(GenerationServiceTest, TellsItsModelsAndLimits) {
  grpc::ClientContext context;
  v1::ListModelsResponse models;
  ASSERT_TRUE(
      stub_->ListModels(&context, v1::ListModelsRequest(), &models).ok());
  ASSERT_EQ(models.models_size(), 1);
  EXPECT_EQ(models.models(0).model_id(), "fake");
  EXPECT_EQ(models.models(0).fingerprint(), "fingerprint-1");
  EXPECT_EQ(models.models(0).target_workers(), 1);
  EXPECT_EQ(models.models(0).draft_workers(), 1);
  EXPECT_EQ(models.models(0).context_max(), 100000);
  EXPECT_EQ(models.models(0).chat_template(), "default");
  EXPECT_EQ(models.models(0).chat_template_error(), "");
  ASSERT_EQ(models.models(0).chat_template_names_size(), 1);
  EXPECT_EQ(models.models(0).chat_template_names(0), "default");
  grpc::ClientContext info_context;
  v1::GetServerInfoResponse info;
  ASSERT_TRUE(
      stub_->GetServerInfo(&info_context, v1::GetServerInfoRequest(), &info)
          .ok());
  EXPECT_EQ(info.version(), kTandemVersion);
  EXPECT_EQ(info.limits().message_bytes(), kRequestBytesMax);
  EXPECT_GT(info.limits().sessions(), 0);
  EXPECT_GT(info.limits().turns(), 0);
  EXPECT_EQ(info.limits().session_idle_seconds(), 3600);
  EXPECT_EQ(info.limits().generate_idle_seconds(), 300);
  EXPECT_EQ(info.default_options().max_tokens(), 512);
}

v1::TurnRequest ChatTurn(const std::string& content, int max_tokens) {
  v1::TurnRequest turn;
  v1::ChatMessage* message = turn.mutable_messages()->add_messages();
  message->set_role(v1::CHAT_ROLE_USER);
  message->set_content(content);
  turn.mutable_options()->set_max_tokens(max_tokens);
  return turn;
}

// The second turn sends its own message only; the text is that of all tokens.
TEST_F(GenerationServiceTest, MessagesBecomeAPromptTurnByTurn) {
  v1::GenerateRequest request = Request("", 12);
  v1::TurnRequest turn = ChatTurn("w1 </s> w2", 12);
  *turn.mutable_options() = request.turn().options();
  const auto client = Connect();
  v1::ConverseRequest start;
  *start.mutable_start() = turn;
  ASSERT_TRUE(client->stream->Write(start));
  Outcome first;
  client->Read(&first);
  const std::vector<TokenId> prompt = IdsOf(turn, std::nullopt);
  ExpectPlain(first, prompt, 12);
  EXPECT_EQ(first.started.template_date().size(), 10u);
  turn = ChatTurn(std::string(3 * kInlineTextBytes, 'a'), 12);
  *turn.mutable_options() = request.turn().options();
  turn.set_session_id(first.started.session_id());
  *start.mutable_start() = turn;
  ASSERT_TRUE(client->stream->Write(start));
  Outcome second;
  client->Read(&second);
  std::vector<TokenId> history = prompt;
  history.insert(history.end(), first.tokens.begin(), first.tokens.end());
  const std::vector<TokenId> more = IdsOf(turn, history.back());
  history.insert(history.end(), more.begin(), more.end());
  ExpectPlain(second, history, 12);
  EXPECT_TRUE(client->Finish().ok());
}

TEST_F(GenerationServiceTest, NamesTheMessageThatIsWrong) {
  v1::GenerateRequest request;
  *request.mutable_turn() = ChatTurn("a", 4);
  request.mutable_turn()->mutable_messages()->mutable_messages(0)->set_role(
      v1::CHAT_ROLE_ASSISTANT);
  const absl::Status status = FromGrpcStatus(Generate(request).status);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(GetErrorDetail(status).has_value());
  ASSERT_EQ(GetErrorDetail(status)->violations.size(), 1u);
  EXPECT_EQ(GetErrorDetail(status)->violations[0].field,
            "turn.messages.messages[0].role");
}

// Options change the prompt, and the day that was told is the one asked for.
TEST_F(GenerationServiceTest, TemplateOptionsReachTheTemplate) {
  v1::GenerateRequest request = Request("", 12);
  v1::TurnRequest turn = ChatTurn("w1", 12);
  *turn.mutable_options() = request.turn().options();
  auto& options = *turn.mutable_template_options();
  options["mood"].set_text_value("glad");
  options["date"].set_text_value("2001-02-03");
  *request.mutable_turn() = turn;
  const Outcome glad = Generate(request);
  ASSERT_TRUE(glad.status.ok()) << glad.status.error_message();
  EXPECT_EQ(glad.started.template_date(), "2001-02-03");
  const std::vector<TokenId> prompt = IdsOf(turn, std::nullopt);
  ExpectPlain(glad, prompt, 12);
  turn.mutable_template_options()->clear();
  EXPECT_NE(IdsOf(turn, std::nullopt), prompt);
  // Prompts without messages have no day.
  EXPECT_EQ(Generate(Request("w1", 4)).started.template_date(), "");
}

// A refusal while the prompt is made leaves nothing behind: the session goes
// on.
TEST_F(GenerationServiceTest, ATemplateThatRefusesEndsTheStreamAlone) {
  v1::GenerateRequest request = Request("w1", 8);
  const Outcome first = Generate(request);
  v1::TurnRequest turn = ChatTurn("refuse me", 8);
  *turn.mutable_options() = request.turn().options();
  turn.set_session_id(first.started.session_id());
  v1::GenerateRequest refused;
  *refused.mutable_turn() = turn;
  const absl::Status status = FromGrpcStatus(Generate(refused).status);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  ASSERT_TRUE(GetErrorDetail(status).has_value());
  EXPECT_EQ(GetErrorDetail(status)->violations[0].field,
            "turn.messages.messages");
  turn.mutable_messages()->mutable_messages(0)->set_content("w2");
  *refused.mutable_turn() = turn;
  const Outcome second = Generate(refused);
  EXPECT_TRUE(second.status.ok()) << second.status.error_message();
  EXPECT_EQ(second.started.turn(), 2);
}

TEST_F(GenerationServiceTest, LogprobsAndStopStringsReachTheClient) {
  const Outcome whole = Generate(Request("w1 w2", 60));
  v1::GenerateRequest request = Request("w1 w2", 60);
  request.mutable_turn()->mutable_options()->add_stop_strings(
      whole.text.substr(whole.text.size() / 2, 6));
  const Outcome cut = Generate(request);
  EXPECT_EQ(cut.ended.finish_reason(), v1::FINISH_REASON_STOP_STRING);
  EXPECT_LT(cut.text.size(), whole.text.size());
  EXPECT_EQ(cut.text, whole.text.substr(0, cut.text.size()));
}

}  // namespace
}  // namespace tandem
