// Turns that begin a session with a part of another one's history.

#include <gtest/gtest.h>

#include "engine/base/error_reason.h"
#include "tests/services/coordinator/stored_fixture.h"

namespace tandem {
namespace {

class ForkedTurnsTest : public StoredFixture {
 protected:
  // A session with one turn of 60 tokens.
  FakeClient* MakeSource() {
    FakeClient* const source = Connect(a_);
    source->Start("w1 w2", 60);
    RunToEnd(source);
    history_ = PromptOf("w1 w2");
    history_.insert(history_.end(), source->tokens.begin(),
                    source->tokens.end());
    return source;
  }
  // A turn at `to` after `tokens` of the source's history.
  FakeClient* Fork(FakeCoordinator* to, const FakeClient& source,
                   int64_t tokens) {
    FakeClient* const fork = Connect(to);
    fork->session_id = source.session_id;
    v1::TurnRequest turn;
    turn.set_fork_tokens(tokens);
    fork->Start("w5", 40, turn);
    return fork;
  }
  TurnSpec SpecOfFork(size_t tokens) {
    const std::vector<TokenId> first(
        history_.begin(), history_.begin() + static_cast<int64_t>(tokens));
    return SpecOf(Continued(first, {}, "w5"), 40);
  }

  std::vector<TokenId> history_;
};

TEST_F(ForkedTurnsTest, BeginWithTheFirstTokensOfAnotherSession) {
  FakeClient* const source = MakeSource();
  const std::string session_id = source->session_id;
  for (const size_t tokens : {size_t{1}, size_t{20}, history_.size()}) {
    FakeClient* const fork = Fork(a_, *source, static_cast<int64_t>(tokens));
    RunToEnd(fork);
    EXPECT_NE(fork->session_id, session_id);
    EXPECT_EQ(fork->turn, 1);
    ExpectPlain(*fork, SpecOfFork(tokens));
  }
  // The source goes on from where it was.
  source->has_ended = false;
  source->tokens.clear();
  source->text.clear();
  source->Start("w6", 30);
  RunToEnd(source);
  EXPECT_EQ(source->session_id, session_id);
  EXPECT_EQ(source->turn, 2);
  ExpectPlain(*source, SpecOf(Continued(history_, {}, "w6"), 30));
}

TEST_F(ForkedTurnsTest, AForkIsStoredWhole) {
  FakeClient* const source = MakeSource();
  FakeClient* const before = Fork(a_, *source, 20);
  RunUntil([before] { return before->tokens.size() >= 10; });
  Kill(a_);
  FakeClient* const after = Resume(b_, *before);
  RunToEnd(after);
  ExpectPlain(*after, SpecOfFork(20));
}

TEST_F(ForkedTurnsTest, ASessionOfAnotherCoordinatorIsForked) {
  FakeClient* const source = MakeSource();
  Kill(a_);
  FakeClient* const fork = Fork(b_, *source, 30);
  RunToEnd(fork);
  ExpectPlain(*fork, SpecOfFork(30));
}

TEST_F(ForkedTurnsTest, RefuseWhatTheHistoryDoesNotHave) {
  FakeClient* const source = MakeSource();
  for (const int64_t tokens :
       {int64_t{-1}, int64_t{0}, static_cast<int64_t>(history_.size()) + 1}) {
    FakeClient* const fork = Fork(a_, *source, tokens);
    RunUntil([fork] { return fork->finished.has_value(); });
    const std::optional<ErrorDetail> detail = GetErrorDetail(*fork->finished);
    ASSERT_TRUE(detail.has_value()) << *fork->finished;
    EXPECT_EQ(detail->violations[0].field, "start.fork_tokens");
  }
  FakeClient* const alone = Connect(a_);
  v1::TurnRequest turn;
  turn.set_fork_tokens(1);
  alone->Start("w1", 5, turn);
  RunUntil([alone] { return alone->finished.has_value(); });
  EXPECT_EQ(alone->finished->code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(a_->sessions.size(), 1);
}

}  // namespace
}  // namespace tandem
