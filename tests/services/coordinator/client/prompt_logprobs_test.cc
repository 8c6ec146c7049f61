// Turns that ask for the log-probabilities of their own prompt: before the
// first tokens, from any point and at any coordinator.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/error_reason.h"
#include "services/common/options_conversion.h"
#include "tests/services/coordinator/stored_fixture.h"

namespace tandem {
namespace {

constexpr int kAlternatives = 3;

// Keeps the scores of the prompt too; leaves after `events_max` of their
// events.
class PromptClient : public FakeClient {
 public:
  explicit PromptClient(ClientServices* services)
      : FakeClient(services, "tenant", SessionUse::kConversation) {}

  void Write(const v1::ConverseResponse& event) override {
    if (event.has_prompt()) Add(event.prompt());
    FakeClient::Write(event);
  }

  std::vector<SampledToken> scores;
  int events = 0;
  int events_max = 1 << 20;

 private:
  void Add(const v1::PromptScored& prompt) {
    EXPECT_TRUE(has_started);
    EXPECT_TRUE(tokens.empty());
    EXPECT_EQ(prompt.first_token(), static_cast<int64_t>(scores.size()));
    EXPECT_LE(prompt.token_ids_size(), kEventTokensMax);
    ASSERT_EQ(prompt.token_ids_size(), prompt.logprobs_size());
    for (int i = 0; i < prompt.token_ids_size(); ++i) {
      scores.push_back(
          SampledTokenFromProto(prompt.token_ids(i), prompt.logprobs(i)));
    }
    if (++events == events_max) Leave();
  }
};

class PromptLogprobsTest : public StoredFixture {
 protected:
  PromptLogprobsTest() {
    for (int i = 0; i < 700; ++i) prompt_.push_back(3 + i % 11);
  }

  PromptClient* ConnectTo(FakeCoordinator* to) {
    auto client = std::make_unique<PromptClient>(&to->services);
    PromptClient* const connected = client.get();
    clients_.push_back(std::move(client));
    return connected;
  }
  static void SendStart(PromptClient* client, std::vector<TokenId> prompt,
                        v1::TurnRequest start = {}) {
    start.mutable_tokens()->mutable_ids()->Add(prompt.begin(), prompt.end());
    start.set_session_id(client->session_id);
    if (!start.has_prompt_logprobs()) start.set_prompt_logprobs(kAlternatives);
    v1::GenerationOptions& options = *start.mutable_options();
    options.set_max_tokens(40);
    options.set_seed(7);
    options.set_ignore_eos(true);
    v1::ConverseRequest message;
    *message.mutable_start() = std::move(start);
    client->Send(std::move(message));
  }
  PromptClient* Start(std::vector<TokenId> prompt) {
    PromptClient* const client = ConnectTo(a_);
    SendStart(client, std::move(prompt));
    return client;
  }
  // A client that has the first `scores` of `before` and no token.
  PromptClient* ResumeAt(FakeCoordinator* to, const PromptClient& before,
                         int64_t scores) {
    PromptClient* const client = ConnectTo(to);
    client->scores.assign(
        before.scores.begin(),
        before.scores.begin() +
            std::min(scores, static_cast<int64_t>(before.scores.size())));
    v1::ConverseRequest message;
    v1::ResumeRequest& resume = *message.mutable_resume();
    resume.set_session_id(before.session_id);
    resume.set_turn(before.turn);
    resume.set_prompt_tokens_received(scores);
    client->Send(message);
    return client;
  }
  // The client has the scores of `tokens` from index `first` on.
  static void ExpectScores(const PromptClient& client,
                           const std::vector<TokenId>& tokens, size_t first) {
    ASSERT_EQ(client.scores.size(), tokens.size() - first);
    const std::vector<ScoredToken> scores =
        FakeScores(tokens, 0, tokens.size(), kAlternatives);
    for (size_t i = first; i < tokens.size(); ++i) {
      SampledToken expected{.id = tokens[i], .logprob = 0, .alternatives = {}};
      if (i > 0) {
        expected.logprob = scores[i].token.logprob;
        expected.alternatives = scores[i].token.alternatives;
      }
      ASSERT_EQ(client.scores[i - first], expected) << i;
    }
  }
  void ExpectWhole(const PromptClient& client) {
    ExpectScores(client, prompt_, 0);
    ExpectPlain(client, SpecOf(prompt_, 40));
  }
  void RunToFinish(PromptClient* client) {
    RunUntil([client] { return client->finished.has_value(); });
  }
  static std::string FieldOf(const PromptClient& client) {
    const auto detail = GetErrorDetail(*client.finished);
    return detail.has_value() && !detail->violations.empty()
               ? detail->violations[0].field
               : "";
  }

  std::vector<TokenId> prompt_;
};

TEST_F(PromptLogprobsTest, ComeBeforeTheTokens) {
  PromptClient* const client = Start(prompt_);
  RunToEnd(client);
  ExpectWhole(*client);
  EXPECT_GE(client->events, 3);
}

TEST_F(PromptLogprobsTest, AreOfTheTurnsOwnTokens) {
  PromptClient* const client = Start(prompt_);
  RunToEnd(client);
  std::vector<TokenId> history = prompt_;
  history.insert(history.end(), client->tokens.begin(), client->tokens.end());
  // A next turn.
  PromptClient* const next = ConnectTo(a_);
  next->session_id = client->session_id;
  SendStart(next, {5, 6, 7});
  RunToEnd(next);
  std::vector<TokenId> tokens = history;
  tokens.insert(tokens.end(), {5, 6, 7});
  ExpectScores(*next, tokens, history.size());
  ExpectPlain(*next, SpecOf(tokens, 40));
  // Of a fork the tokens that it begins with are its own.
  PromptClient* const fork = ConnectTo(a_);
  fork->session_id = client->session_id;
  v1::TurnRequest start;
  start.set_fork_tokens(20);
  SendStart(fork, {8}, start);
  RunToEnd(fork);
  tokens.assign(history.begin(), history.begin() + 20);
  tokens.push_back(8);
  ExpectScores(*fork, tokens, 0);
}

TEST_F(PromptLogprobsTest, NoneWhereNoneAreAskedFor) {
  PromptClient* const client = ConnectTo(a_);
  client->Start("w1 w2", 20);
  RunToEnd(client);
  EXPECT_EQ(client->events, 0);
  EXPECT_EQ(a_->link->opened, 1);
}

TEST_F(PromptLogprobsTest, ATurnThatHasEndedIsResumedFromAnyPoint) {
  PromptClient* const whole = Start(prompt_);
  RunToEnd(whole);
  const auto all = static_cast<int64_t>(prompt_.size());
  for (const int64_t received :
       {int64_t{0}, int64_t{1}, int64_t{256}, int64_t{300}, all - 1, all}) {
    PromptClient* const client = ResumeAt(a_, *whole, received);
    RunToEnd(client);
    ExpectWhole(*client);
    EXPECT_EQ(client->events == 0, received == all);
  }
  EXPECT_EQ(a_->quotas.turns(), 0);
  Kill(a_);
  for (const int64_t received : {int64_t{0}, int64_t{300}, all}) {
    PromptClient* const client = ResumeAt(b_, *whole, received);
    RunToEnd(client);
    ExpectWhole(*client);
  }
}

TEST_F(PromptLogprobsTest, AreResumedInTheMiddle) {
  PromptClient* client = Start(prompt_);
  client->events_max = 1;
  FakeCoordinator* at = a_;
  for (int i = 0; i < 3; ++i) {
    RunToFinish(client);
    const auto received = static_cast<int64_t>(client->scores.size());
    ASSERT_LT(received, static_cast<int64_t>(prompt_.size()));
    EXPECT_EQ(at->quotas.turns(), 0);
    if (i == 1) {
      Kill(a_);
      at = b_;
    }
    client = ResumeAt(at, *client, received);
    client->events_max = i < 2 ? 1 : 1000;
  }
  RunToEnd(client);
  ExpectWhole(*client);
}

TEST_F(PromptLogprobsTest, SurviveLostWorkers) {
  a_->link->faults.close = 20;
  for (int i = 0; i < 10; ++i) {
    PromptClient* const client = Start(prompt_);
    RunToEnd(client);
    ExpectWhole(*client);
  }
  EXPECT_GT(a_->link->opened, 30);
}

TEST_F(PromptLogprobsTest, WithoutAWorkerTheTurnWaits) {
  prompt_.resize(2 * kPromptPieceTokens, 4);
  PromptClient* const client = Start(prompt_);
  RunUntil([client] { return client->events == 2; });
  a_->link->faults.open_close = 1000;  // no second piece
  RunToFinish(client);
  EXPECT_EQ(GetErrorDetail(*client->finished)->reason, kReasonNoWorker);
  EXPECT_EQ(client->scores.size(), size_t{1} + kPromptPieceTokens);
  EXPECT_EQ(a_->quotas.turns(), 0);
  EXPECT_EQ(a_->link->streams, 0);
  a_->link->faults = {};
  PromptClient* const after =
      ResumeAt(a_, *client, static_cast<int64_t>(client->scores.size()));
  RunToEnd(after);
  ExpectWhole(*after);
}

TEST_F(PromptLogprobsTest, AnErrorOfTheScoresEndsTheStream) {
  PromptClient* const whole = Start(prompt_);
  RunToEnd(whole);
  a_->link->faults = {.open_close = 1000};
  PromptClient* const client = ResumeAt(a_, *whole, 0);
  RunToFinish(client);
  EXPECT_EQ(GetErrorDetail(*client->finished)->reason, kReasonNoWorker);
  EXPECT_TRUE(client->tokens.empty());
  EXPECT_EQ(client->scores.size(), 1u);  // the session's first token
  EXPECT_EQ(a_->quotas.turns(), 0);
  a_->link->faults = {};
  PromptClient* const after = ResumeAt(a_, *whole, 1);
  RunToEnd(after);
  ExpectWhole(*after);
}

TEST_F(PromptLogprobsTest, ASlowReaderHoldsThemBack) {
  prompt_.resize(3 * kPromptPieceTokens, 4);
  PromptClient* const client = Start(prompt_);
  RunUntil([client] { return client->events == 1; });
  client->reads = false;
  RunUntil([client] { return client->is_write_pending; });
  RunFor(std::chrono::minutes(1));
  // The turn has stopped, and at most one piece was made.
  EXPECT_EQ(a_->link->streams, 0);
  EXPECT_LE(a_->link->opened, 2);
  EXPECT_EQ(a_->quotas.turns(), 0);
  client->ReadAgain();
  RunToEnd(client);
  ExpectWhole(*client);
}

TEST_F(PromptLogprobsTest, ACancelledTurnEndsWithoutTheRest) {
  prompt_.resize(3 * kPromptPieceTokens, 4);
  PromptClient* const client = Start(prompt_);
  RunUntil([client] { return client->events == 2; });
  client->Cancel();
  RunToEnd(client);
  EXPECT_EQ(client->ended.finish_reason(), v1::FINISH_REASON_CANCELLED);
  EXPECT_LT(client->scores.size(), prompt_.size());
  EXPECT_EQ(a_->quotas.turns(), 0);
}

TEST_F(PromptLogprobsTest, OutOfRangeIsRefused) {
  for (const int wrong : {-1, 21}) {
    PromptClient* const client = ConnectTo(a_);
    v1::TurnRequest start;
    start.set_prompt_logprobs(wrong);
    SendStart(client, prompt_, start);
    RunToFinish(client);
    EXPECT_EQ(GetErrorDetail(*client->finished)->reason, kReasonInvalidOptions);
    EXPECT_EQ(FieldOf(*client), "start.prompt_logprobs");
  }
  PromptClient* const whole = Start(prompt_);
  RunToEnd(whole);
  for (const int64_t wrong :
       {int64_t{-1}, static_cast<int64_t>(prompt_.size()) + 1}) {
    PromptClient* const client = ConnectTo(a_);
    v1::ConverseRequest message;
    message.mutable_resume()->set_session_id(whole->session_id);
    message.mutable_resume()->set_turn(whole->turn);
    message.mutable_resume()->set_prompt_tokens_received(wrong);
    client->Send(message);
    RunToFinish(client);
    EXPECT_EQ(FieldOf(*client), "resume.prompt_tokens_received");
  }
}

}  // namespace
}  // namespace tandem
