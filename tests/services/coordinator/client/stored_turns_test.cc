// Client streams over a store that coordinators share: whatever dies and
// whatever the store answers, tokens and text are those of an undisturbed run.

#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "engine/base/error_reason.h"
#include "services/common/options_conversion.h"
#include "tests/services/coordinator/stored_fixture.h"

namespace tandem {
namespace {

constexpr char kPrompt[] = "w1 w2";

std::string ReasonOf(const absl::Status& status) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  return detail.has_value() ? detail->reason : "";
}

// Not inside a character of UTF-8.
bool IsCharacterStart(const std::string& text, size_t at) {
  return (static_cast<unsigned char>(text[at]) & 0xC0) != 0x80;
}

class StoredTurnsTest : public StoredFixture {
 protected:
  FakeClient* StartAt(FakeCoordinator* to, int max_tokens) {
    FakeClient* const client = Connect(to);
    client->Start(kPrompt, max_tokens);
    return client;
  }
  // A turn that `a_` has begun and of which its client has `tokens` or a few
  // more, when `a_` dies.
  FakeClient* CutOff(size_t tokens, int max_tokens) {
    FakeClient* const client = StartAt(a_, max_tokens);
    RunUntil([client, tokens] { return client->tokens.size() >= tokens; });
    Kill(a_);
    return client;
  }
  v1::ConverseRequest ResumeMessage(const FakeClient& of, int64_t tokens,
                                    int64_t text_bytes) {
    v1::ConverseRequest message;
    message.mutable_resume()->set_session_id(of.session_id);
    message.mutable_resume()->set_turn(of.turn);
    message.mutable_resume()->set_tokens_received(tokens);
    message.mutable_resume()->set_text_bytes_received(text_bytes);
    return message;
  }
  absl::Status ResumeWith(const FakeClient& of, int64_t tokens,
                          int64_t text_bytes) {
    FakeClient* const client = Connect(b_);
    client->Send(ResumeMessage(of, tokens, text_bytes));
    RunUntil([client] { return client->has_ended || client->finished; });
    return client->finished.value_or(absl::OkStatus());
  }
  TurnSpec Spec(int max_tokens) {
    return SpecOf(PromptOf(kPrompt), max_tokens);
  }
};

TEST_F(StoredTurnsTest, AnUndisturbedTurnIsStoredWhole) {
  FakeClient* const client = StartAt(a_, 100);
  RunToEnd(client);
  ExpectPlain(*client, Spec(100));
  const StoredSession stored = store_.Stored(client->session_id);
  ASSERT_EQ(stored.turns.size(), 1u);
  EXPECT_EQ(stored.turns[0].generated, client->tokens);
  EXPECT_EQ(stored.turns[0].end_reason, FinishReason::kLength);
}

TEST_F(StoredTurnsTest, NothingLeavesBeforeTheTurnIsStored) {
  store_.Hold();
  FakeClient* const client = StartAt(a_, 100);
  RunFor(std::chrono::seconds(1));
  EXPECT_FALSE(client->has_started);
  store_.Release();
  RunToEnd(client);
  ExpectPlain(*client, Spec(100));
}

TEST_F(StoredTurnsTest, AStartGoesOnElsewhere) {
  FakeClient* const first = StartAt(a_, 50);
  RunToEnd(first);
  Kill(a_);
  FakeClient* const second = Connect(b_);
  second->session_id = first->session_id;
  second->Start("w3", 40);
  RunToEnd(second);
  EXPECT_EQ(second->turn, 2);
  ExpectPlain(*second,
              SpecOf(Continued(PromptOf(kPrompt), first->tokens, "w3"), 40));
}

// Also by counts that the new one has to make again.
TEST_F(StoredTurnsTest, AResumeGoesOnElsewhere) {
  for (const size_t tokens : {1, 31, 32, 33, 100, 299}) {
    FakeClient* const before = CutOff(tokens, 300);
    FakeClient* const after = Resume(b_, *before);
    RunToEnd(after);
    ExpectPlain(*after, Spec(300));
    a_->is_dead = false;
  }
}

TEST_F(StoredTurnsTest, ManyDeathsInOneTurn) {
  std::minstd_rand random(3);
  FakeClient* client = StartAt(a_, 2000);
  FakeCoordinator* at = a_;
  for (int i = 0; i < 40 && !client->has_ended; ++i) {
    const size_t until = client->tokens.size() + random() % 60;
    RunUntil(
        [&] { return client->has_ended || client->tokens.size() > until; });
    if (client->has_ended) break;
    Kill(at);
    at = AddCoordinator();
    client = Resume(at, *client);
  }
  RunToEnd(client);
  ExpectPlain(*client, Spec(2000));
}

TEST_F(StoredTurnsTest, AnEndedTurnCanBeHeardElsewhere) {
  FakeClient* const first = StartAt(a_, 50);
  RunToEnd(first);
  Kill(a_);
  FakeClient* const again = Connect(b_);
  again->Send(ResumeMessage(*first, 0, 0));
  RunToEnd(again);
  ExpectPlain(*again, Spec(50));
  EXPECT_EQ(again->ended.finish_reason(), v1::FINISH_REASON_LENGTH);
  EXPECT_EQ(again->ended.usage().SerializeAsString(),
            first->ended.usage().SerializeAsString());
  EXPECT_EQ(again->ended.speculation().SerializeAsString(),
            first->ended.speculation().SerializeAsString());
  EXPECT_EQ(b_->link->opened, 0);
}

TEST_F(StoredTurnsTest, CountsThatLieAreRefused) {
  FakeClient* const before = CutOff(40, 300);
  const auto text = static_cast<int64_t>(before->text.size());
  constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  for (const auto& [tokens, bytes] :
       std::vector<std::pair<int64_t, int64_t>>{{-1, 0},
                                                {kLeast, 0},
                                                {301, text},
                                                {kMost, text},
                                                {50, -1},
                                                {50, kLeast},
                                                {50, 100000},
                                                {50, kMost}}) {
    const absl::Status status = ResumeWith(*before, tokens, bytes);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument)
        << tokens << " " << bytes << " " << status;
  }
  // Inside a character of text that is not made again yet.
  const PlainResult plain = PlainRun(Spec(300));
  size_t inside = before->text.size();
  while (IsCharacterStart(plain.text, inside)) ++inside;
  EXPECT_EQ(ResumeWith(*before, 300, static_cast<int64_t>(inside)).code(),
            absl::StatusCode::kInvalidArgument);
  // It is there all the same.
  FakeClient* const after = Resume(b_, *before);
  RunToEnd(after);
  ExpectPlain(*after, Spec(300));
}

// The place of the text in its grammar is found again by its tokens.
TEST_F(StoredTurnsTest, AGrammarGoesOnElsewhere) {
  v1::ConverseRequest start;
  // This text repeats itself: w1w2w4w7w8w11. A drafter guesses other pieces
  // three times in ten.
  TurnSpec spec = SpecOf({kFakeRepeat, 260, 261, 263, 266, 267, 270}, 9000);
  start.mutable_start()->mutable_tokens()->mutable_ids()->Add(
      spec.prompt.begin(), spec.prompt.end());
  spec.options.response_format = {.kind = GrammarSource::Kind::kRegex,
                                  .text = "(w1w2w4w7w8w11){20}"};
  *start.mutable_start()->mutable_options() = ToProto(spec.options);
  spec.grammar = *CompileResponseFormat(*FakeTokenizer(), spec.options);
  for (const size_t tokens : {1, 33, 80, 119}) {
    FakeClient* const before = Connect(a_);
    const int64_t sessions = a_->sessions.size();
    before->Send(start);
    AwaitHelper([&] { return a_->sessions.size() > sessions; });
    RunUntil([before, tokens] { return before->tokens.size() >= tokens; });
    Kill(a_);
    FakeClient* const after = Resume(b_, *before);
    AwaitHelper(
        [&] { return b_->sessions.Find(before->session_id, "tenant").ok(); });
    RunToEnd(after);
    ExpectPlain(*after, spec);
    EXPECT_EQ(after->tokens.size(), 120u);
    EXPECT_EQ(after->ended.finish_reason(), v1::FINISH_REASON_GRAMMAR_END);
    // Another turn needs no grammar of the last one.
    FakeClient* const next = Connect(b_);
    next->session_id = after->session_id;
    next->Start("w3", 10);
    RunToEnd(next);
    a_->is_dead = false;
    RunFor(std::chrono::seconds(2));  // it learns that the turn has moved
  }
}

// The turn ends before as many tokens as the client claims to have.
TEST_F(StoredTurnsTest, ATurnThatEndsBeforeWhatIsClaimed) {
  FakeClient* const before = Connect(a_);
  v1::ConverseRequest start;
  start.mutable_start()->set_text("w4");
  start.mutable_start()->mutable_options()->set_max_tokens(5000);
  start.mutable_start()->mutable_options()->set_seed(7);
  before->Send(start);
  RunUntil([before] { return before->tokens.size() > 5; });
  Kill(a_);
  EXPECT_EQ(ResumeWith(*before, 4999, 1).code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(StoredTurnsTest, StopStringsHoldTextBackAsBefore) {
  const PlainResult whole = PlainRun(Spec(300));
  TurnSpec spec = Spec(300);
  // Whole characters, over more than one token.
  size_t begin = 500;
  size_t end = 509;
  while (!IsCharacterStart(whole.text, begin)) ++begin;
  while (!IsCharacterStart(whole.text, end)) ++end;
  spec.options.stop_strings = {whole.text.substr(begin, end - begin)};
  const PlainResult plain = PlainRun(spec);
  ASSERT_EQ(plain.reason, FinishReason::kStopString);
  v1::ConverseRequest start;
  start.mutable_start()->set_text(kPrompt);
  v1::GenerationOptions& options = *start.mutable_start()->mutable_options();
  options.set_max_tokens(300);
  options.set_seed(7);
  options.set_ignore_eos(true);
  options.add_stop_strings(spec.options.stop_strings[0]);
  for (size_t tokens = plain.tokens.size() - 6; tokens < plain.tokens.size();
       ++tokens) {
    FakeClient* const before = Connect(a_);
    before->Send(start);
    RunUntil([before, tokens] {
      return before->has_ended || before->tokens.size() >= tokens;
    });
    Kill(a_);
    FakeClient* const after = Resume(b_, *before);
    RunToEnd(after);
    ExpectPlain(*after, spec);
    EXPECT_EQ(after->ended.finish_reason(), v1::FINISH_REASON_STOP_STRING);
    a_->is_dead = false;
  }
}

TEST_F(StoredTurnsTest, TheTurnsTimeCountsOn) {
  v1::ConverseRequest start;
  start.mutable_start()->set_text(kPrompt);
  start.mutable_start()->set_timeout_ms(1000);
  v1::GenerationOptions& options = *start.mutable_start()->mutable_options();
  options.set_max_tokens(9000);
  options.set_seed(7);
  options.set_ignore_eos(true);
  FakeClient* const before = Connect(a_);
  const MonotonicTime began = clock_.Now();
  before->Send(start);
  RunUntil(
      [&] { return clock_.Now() - began > std::chrono::milliseconds(600); });
  Kill(a_);
  const MonotonicTime resumed = clock_.Now();
  FakeClient* const after = Resume(b_, *before);
  RunToEnd(after);
  EXPECT_EQ(after->ended.finish_reason(), v1::FINISH_REASON_DEADLINE);
  // 600 ms are over, but for those of the last 32 tokens.
  EXPECT_LE(clock_.Now() - resumed, std::chrono::milliseconds(500));
  EXPECT_GE(clock_.Now() - resumed, std::chrono::milliseconds(350));
  ExpectPlain(*after, Spec(static_cast<int>(after->tokens.size())));
}

// A cancel, or the turn's time, does not take from the client what it has.
TEST_F(StoredTurnsTest, ATurnEndsNotBeforeWhatItsClientHas) {
  FakeClient* const before = CutOff(95, 300);
  EXPECT_LT(store_.Stored(before->session_id).turns[0].generated.size(), 95u);
  FakeClient* const after = Resume(b_, *before);
  RunUntil([after] { return after->has_started; });
  after->Cancel();
  RunToEnd(after);
  EXPECT_EQ(after->ended.finish_reason(), v1::FINISH_REASON_CANCELLED);
  EXPECT_LT(after->tokens.size(), 110u);
  EXPECT_EQ(after->ended.usage().generated_tokens(),
            static_cast<int64_t>(after->tokens.size()));
  ExpectPlain(*after, Spec(static_cast<int>(after->tokens.size())));
  EXPECT_EQ(store_.Stored(after->session_id).turns[0].generated, after->tokens);
}

// Who has no worker can not know yet what the client has: it may come again.
TEST_F(StoredTurnsTest, AResumeWithoutAWorkerMayBeTriedAgain) {
  FakeClient* const before = CutOff(60, 300);
  for (int i = 0; i < 2; ++i) {
    b_->link->faults.open_close = 1000;
    FakeClient* const failed = Resume(b_, *before);
    RunUntil([failed] { return failed->finished.has_value(); });
    EXPECT_EQ(ReasonOf(*failed->finished), kReasonNoWorker)
        << *failed->finished;
  }
  b_->link->faults.open_close = 0;
  // Nor when it comes again before all is made again.
  FakeClient* const half = Resume(b_, *before);
  RunUntil([this] { return b_->link->verifies > 2; });
  half->Leave();
  RunUntil([half] { return half->finished.has_value(); });
  FakeClient* const after = Resume(b_, *before);
  RunToEnd(after);
  ExpectPlain(*after, Spec(300));
}

TEST_F(StoredTurnsTest, WithoutItsModelASessionIsNotLoaded) {
  FakeClient* const before = CutOff(40, 300);
  b_->SetWorkers(0);
  FakeClient* const failed = Resume(b_, *before);
  RunUntil([failed] { return failed->finished.has_value(); });
  EXPECT_EQ(ReasonOf(*failed->finished), kReasonNoWorker);
  b_->SetWorkers(1);
  FakeClient* const after = Resume(b_, *before);
  RunToEnd(after);
  ExpectPlain(*after, Spec(300));
}

// Its second turn was stored, but nobody was told.
class UnheardTurnTest : public StoredTurnsTest {
 protected:
  UnheardTurnTest() {
    first_ = StartAt(a_, 50);
    RunToEnd(first_);
    FakeClient* const unheard = Connect(a_);
    unheard->session_id = first_->session_id;
    store_.Hold(StoreCall::kBegin);
    unheard->Start("w3", 40);
    RunFor(std::chrono::milliseconds(100));
    EXPECT_FALSE(unheard->has_started);
    EXPECT_EQ(store_.Stored(first_->session_id).turns.size(), 2u);
    Kill(a_);
    store_.Release();
  }
  void ExpectSecondTurn(FakeClient* client) {
    RunToEnd(client);
    EXPECT_EQ(client->turn, 2);
    ExpectPlain(*client,
                SpecOf(Continued(PromptOf(kPrompt), first_->tokens, "w3"), 40));
  }

  FakeClient* first_;
};

TEST_F(UnheardTurnTest, CanBeResumed) {
  FakeClient* const second = Connect(b_);
  FakeClient claim(&b_->services, "tenant", SessionUse::kConversation);
  claim.session_id = first_->session_id;
  claim.turn = 2;
  second->Send(ResumeMessage(claim, 0, 0));
  ExpectSecondTurn(second);
}

TEST_F(UnheardTurnTest, LeavesNoTraceWhereItIsStartedAgain) {
  FakeClient* const second = Connect(b_);
  second->session_id = first_->session_id;
  second->Start("w3", 40);
  ExpectSecondTurn(second);
}

TEST_F(StoredTurnsTest, AStartThatFailsLeavesNoTrace) {
  a_->link->faults.open_close = 1000;
  FakeClient* const client = StartAt(a_, 50);
  RunUntil([client] { return client->finished.has_value(); });
  EXPECT_EQ(ReasonOf(*client->finished), kReasonNoWorker);
  RunUntil([this] { return store_.calls(StoreCall::kDelete) == 1; });
  EXPECT_EQ(store_.calls(StoreCall::kBegin), 1);
  EXPECT_EQ(store_.sessions(), 0);
  EXPECT_EQ(a_->sessions.size(), 0);
}

// It went to another coordinator and came back.
TEST_F(StoredTurnsTest, ASessionThatWentOnElsewhereIsLoadedAgain) {
  FakeClient* const first = StartAt(a_, 50);
  RunToEnd(first);
  FakeClient* const second = Connect(b_);
  second->session_id = first->session_id;
  second->Start("w3", 40);
  RunToEnd(second);
  // A resume of what `a_` has not seen, and a start.
  FakeClient* const again = Connect(a_);
  again->Send(ResumeMessage(*second, 0, 0));
  RunToEnd(again);
  std::vector<TokenId> prompt =
      Continued(PromptOf(kPrompt), first->tokens, "w3");
  ExpectPlain(*again, SpecOf(prompt, 40));
  FakeClient* const third = Connect(b_);
  third->session_id = first->session_id;
  third->Start("w5", 30);
  RunToEnd(third);
  EXPECT_EQ(third->turn, 3);
  ExpectPlain(*third, SpecOf(Continued(prompt, second->tokens, "w5"), 30));
}

// Where the turn runs, it is dropped within a second.
TEST_F(StoredTurnsTest, OneOfTwoDriversIsDropped) {
  a_->watch.Start();
  FakeClient* const before = StartAt(a_, 9000);
  RunUntil([before] { return before->tokens.size() > 50; });
  const MonotonicTime began = clock_.Now();
  FakeClient* const after = Resume(b_, *before);
  RunUntil([before] { return before->finished.has_value(); });
  EXPECT_TRUE(absl::IsAborted(*before->finished)) << *before->finished;
  EXPECT_LE(clock_.Now() - began, std::chrono::seconds(1));
  EXPECT_EQ(a_->sessions.size(), 0);
  EXPECT_EQ(a_->link->streams, 0);
  RunToEnd(after);
  ExpectPlain(*after, Spec(9000));
}

TEST_F(StoredTurnsTest, AnEndThatCanNotBeStoredGoesAlongWithTheNextTurn) {
  store_.Fail(StoreCall::kEnd, {.first = 1, .last = 1000});
  FakeClient* const first = StartAt(a_, 50);
  RunUntil([first] { return first->finished.has_value(); });
  EXPECT_FALSE(first->has_ended);
  EXPECT_EQ(ReasonOf(*first->finished), kReasonStoreUnavailable);
  const std::vector<TokenId> generated = PlainRun(Spec(50)).tokens;
  EXPECT_EQ(first->tokens, generated);
  FakeClient* const second = Connect(a_);
  second->session_id = first->session_id;
  second->Start("w3", 1000);
  RunUntil([second] { return second->tokens.size() > 20; });
  const StoredSession stored = store_.Stored(first->session_id);
  ASSERT_EQ(stored.turns.size(), 2u);
  EXPECT_EQ(stored.turns[0].generated, generated);
  EXPECT_EQ(stored.turns[0].end_reason, FinishReason::kLength);
  store_.Mend();
  RunToEnd(second);
  ExpectPlain(*second,
              SpecOf(Continued(PromptOf(kPrompt), generated, "w3"), 1000));
}

TEST_F(StoredTurnsTest, AnEndIsHeardWhenTheStoreIsBack) {
  store_.Fail(StoreCall::kEnd, {.first = 1, .last = 2});
  FakeClient* const client = StartAt(a_, 50);
  RunUntil([client] { return client->finished.has_value(); });
  EXPECT_FALSE(client->has_ended);
  FakeClient* const after = Resume(a_, *client);
  RunToEnd(after);
  ExpectPlain(*after, Spec(50));
}

TEST_F(StoredTurnsTest, AnEndFromOutsideIsStoredBeforeItsClientHearsOfIt) {
  store_.Fail(StoreCall::kEnd, {});
  FakeClient* const client = StartAt(a_, 9000);
  RunUntil([client] { return client->tokens.size() > 50; });
  client->Cancel();
  RunUntil([client] { return client->finished.has_value(); });
  EXPECT_FALSE(client->has_ended);
  EXPECT_EQ(ReasonOf(*client->finished), kReasonStoreUnavailable);
  FakeClient* const after = Resume(a_, *client);
  RunToEnd(after);
  EXPECT_EQ(after->ended.finish_reason(), v1::FINISH_REASON_CANCELLED);
  ExpectPlain(*after, Spec(static_cast<int>(after->tokens.size())));
  EXPECT_EQ(store_.Stored(client->session_id).turns[0].end_reason,
            FinishReason::kCancelled);
}

// Tokens that were not stored stand in the end again: their failure is not the
// end's.
TEST_F(StoredTurnsTest, FailedTokensAreNotAFailedEnd) {
  store_.Fail(StoreCall::kTokens, {.first = 1, .last = 1000});
  FakeClient* const client = StartAt(a_, 9000);
  RunUntil([client] { return client->tokens.size() > 20; });
  store_.Hold();
  RunUntil([client] { return client->tokens.size() > 50; });
  client->Cancel();
  RunFor(std::chrono::milliseconds(50));
  EXPECT_FALSE(client->has_ended);
  store_.Release();
  RunToEnd(client);
  EXPECT_EQ(client->ended.finish_reason(), v1::FINISH_REASON_CANCELLED);
  EXPECT_EQ(store_.Stored(client->session_id).turns[0].generated,
            client->tokens);
}

// A server that had stopped runs the begin of a turn that its client was
// refused, when another turn has its number.
TEST_F(StoredTurnsTest, ABeginThatComesLateChangesNothing) {
  FakeClient* const first = StartAt(a_, 50);
  RunToEnd(first);
  const int next = store_.calls(StoreCall::kBegin) + 1;
  store_.Fail(StoreCall::kBegin, {.first = next, .last = next});
  FakeClient* const refused = Connect(a_);
  refused->session_id = first->session_id;
  refused->Start("w5", 300);
  RunUntil([refused] { return refused->finished.has_value(); });
  EXPECT_EQ(ReasonOf(*refused->finished), kReasonStoreUnavailable);
  FakeClient* const second = Connect(a_);
  second->session_id = first->session_id;
  second->Start("w3", 300);
  RunUntil([second] { return second->tokens.size() > 70; });
  const StoredTurn stored = store_.Stored(first->session_id).turns.back();
  absl::Status late;
  TurnBegin begin;
  begin.key = {first->session_id, kFirstDriverEpoch, 2};
  begin.turn = {.fingerprint = "fp", .prompt = {261}};
  store_.inner()->BeginTurn(std::move(begin),
                            [&late](absl::Status status) { late = status; });
  EXPECT_TRUE(absl::IsAborted(late)) << late;
  EXPECT_EQ(store_.Stored(first->session_id).turns.back().record,
            stored.record);
  RunToEnd(second);
  EXPECT_EQ(second->turn, 2);
  ExpectPlain(*second,
              SpecOf(Continued(PromptOf(kPrompt), first->tokens, "w3"), 300));
}

// What the session has and the store has not is kept.
TEST_F(StoredTurnsTest, AFailedBeginLosesNoToken) {
  FakeClient* const first = StartAt(a_, 9000);
  RunUntil([first] { return first->tokens.size() > 70; });
  store_.Fail(StoreCall::kTokens, {.first = 1, .last = 1000});
  const size_t before = first->tokens.size() + 40;
  RunUntil([first, before] { return first->tokens.size() > before; });
  first->Leave();
  RunUntil([first] { return first->finished.has_value(); });
  store_.Fail(StoreCall::kBegin, {.first = 1, .last = 1000});
  for (int tries = 0; tries < 3; ++tries) {
    FakeClient* const refused = Connect(a_);
    refused->session_id = first->session_id;
    refused->Start("w3", 40);
    RunUntil([refused] { return refused->finished.has_value(); });
    EXPECT_EQ(ReasonOf(*refused->finished), kReasonStoreUnavailable);
  }
  store_.Mend();
  FakeClient* const second = Connect(a_);
  second->session_id = first->session_id;
  second->Start("w3", 40);
  RunToEnd(second);
  const std::vector<TokenId> generated =
      store_.Stored(first->session_id).turns[0].generated;
  EXPECT_GE(generated.size(), first->tokens.size());
  EXPECT_EQ(generated,
            PlainRun(Spec(static_cast<int>(generated.size()))).tokens);
  ExpectPlain(*second,
              SpecOf(Continued(PromptOf(kPrompt), generated, "w3"), 40));
}

// A damaged row is no other coordinator.
TEST_F(StoredTurnsTest, WhyASessionIsLostIsToldAsItIs) {
  for (const absl::Status& answer :
       {absl::DataLossError("the session's row is damaged"),
        absl::NotFoundError("deleted"), absl::AbortedError("another's")}) {
    FakeClient* const client = StartAt(a_, 9000);
    RunUntil([client] { return client->tokens.size() > 10; });
    const int next = store_.calls(StoreCall::kTokens) + 1;
    store_.Fail(StoreCall::kTokens,
                {.first = next, .last = next, .status = answer});
    RunUntil([client] { return client->finished.has_value(); });
    EXPECT_EQ(client->finished->code(), answer.code()) << *client->finished;
    EXPECT_EQ(a_->sessions.size(), 0);
  }
}

}  // namespace
}  // namespace tandem
