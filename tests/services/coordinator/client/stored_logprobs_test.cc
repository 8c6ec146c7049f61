// Log-probabilities of turns whose store has none: they are made again, at
// another coordinator too.

#include <gtest/gtest.h>

#include "tests/services/coordinator/stored_fixture.h"

namespace tandem {
namespace {

constexpr char kPrompt[] = "w1 w2";

class StoredLogprobsTest : public StoredFixture {
 protected:
  // A turn of `tokens` tokens with their log-probabilities, at `a_`.
  FakeClient* StartWithLogprobs(int tokens) {
    v1::ConverseRequest start;
    start.mutable_start()->set_text(kPrompt);
    v1::GenerationOptions& options = *start.mutable_start()->mutable_options();
    options.set_max_tokens(tokens);
    options.set_seed(7);
    options.set_ignore_eos(true);
    options.set_logprobs(2);
    FakeClient* const client = Connect(a_);
    client->Send(start);
    return client;
  }
  // A client that has the first `tokens` and none of the text.
  FakeClient* ResumeFrom(const FakeClient& before, size_t tokens) {
    FakeClient* const client = Connect(b_);
    client->tokens.assign(before.tokens.begin(),
                          before.tokens.begin() + static_cast<int64_t>(tokens));
    v1::ConverseRequest message;
    message.mutable_resume()->set_session_id(before.session_id);
    message.mutable_resume()->set_turn(before.turn);
    message.mutable_resume()->set_tokens_received(static_cast<int64_t>(tokens));
    client->Send(message);
    return client;
  }
};

TEST_F(StoredLogprobsTest, AreMadeAgain) {
  FakeClient* const before = StartWithLogprobs(200);
  RunUntil([before] { return before->tokens.size() >= 100; });
  Kill(a_);
  EXPECT_TRUE(store_.Stored(before->session_id).turns[0].generated.empty());
  FakeClient* const after = Resume(b_, *before);
  RunToEnd(after);
  ExpectPlain(*after, SpecOf(PromptOf(kPrompt), 200));
  EXPECT_EQ(before->logprobs, static_cast<int>(before->tokens.size()));
  EXPECT_EQ(after->logprobs,
            static_cast<int>(after->tokens.size() - before->tokens.size()));
  EXPECT_EQ(after->ended.receipt().generated_tokens(), 200);
}

// Also those of a turn whose end is stored.
TEST_F(StoredLogprobsTest, OfATurnThatHasEndedAreMadeAgain) {
  FakeClient* const before = StartWithLogprobs(200);
  RunToEnd(before);
  Kill(a_);
  FakeClient* const after = ResumeFrom(*before, 100);
  RunUntil([after] { return after->tokens.size() >= 120; });
  after->Cancel();  // too late
  RunToEnd(after);
  ExpectPlain(*after, SpecOf(PromptOf(kPrompt), 200));
  EXPECT_EQ(after->logprobs, 100);
  EXPECT_EQ(after->ended.usage().generated_tokens(), 200);
  // Of the turn as it was asked for, not as it was made again.
  EXPECT_EQ(after->ended.receipt().SerializeAsString(),
            before->ended.receipt().SerializeAsString());
  EXPECT_TRUE(before->ended.has_receipt());
}

TEST_F(StoredLogprobsTest, OfACancelledTurnAreMadeAgain) {
  FakeClient* const before = StartWithLogprobs(200);
  RunUntil([before] { return before->tokens.size() >= 100; });
  before->Cancel();
  RunToEnd(before);
  Kill(a_);
  FakeClient* const after = ResumeFrom(*before, 10);
  RunToEnd(after);
  EXPECT_EQ(after->tokens, before->tokens);
  EXPECT_EQ(after->logprobs, static_cast<int>(before->tokens.size()) - 10);
  EXPECT_EQ(after->ended.finish_reason(), v1::FINISH_REASON_CANCELLED);
  EXPECT_FALSE(after->ended.has_receipt());
}

// A next turn does not follow half of it.
TEST_F(StoredLogprobsTest, TheNextTurnFollowsTheWholeTurn) {
  FakeClient* const before = StartWithLogprobs(200);
  RunToEnd(before);
  Kill(a_);
  FakeClient* const after = ResumeFrom(*before, 0);
  RunUntil([after] { return after->tokens.size() >= 50; });
  after->Leave();
  FakeClient* const next = Connect(b_);
  next->session_id = before->session_id;
  next->Start("w3", 20);
  RunToEnd(next);
  ExpectPlain(*next,
              SpecOf(Continued(PromptOf(kPrompt), before->tokens, "w3"), 20));
}

}  // namespace
}  // namespace tandem
