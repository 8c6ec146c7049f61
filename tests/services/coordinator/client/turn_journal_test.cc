#include "services/coordinator/client/turn_journal.h"

#include <gtest/gtest.h>

#include "services/coordinator/client/turn_events.h"
#include "tandem/v1/generation.pb.h"
#include "tests/services/coordinator/faulty_store.h"
#include "tests/services/coordinator/turn_runner_fixture.h"

namespace tandem {
namespace {

constexpr char kId[] = "0123456789abcdef0123456789abcdef";

// A turn that the test drives, and its journal, which follows it as a client
// stream does.
class TurnJournalTest : public TurnRunnerFixture {
 protected:
  TurnJournalTest() { spec_.options.ignore_eos = true; }
  void MakeJournal(int64_t turn = 1) {
    journal_.emplace(TurnJournal::Setup{
        .store = &store_, .loop = &loop_, .key = {kId, 1, turn}});
    journal_->SetListener([this] {
      ++calls_;
      if (follows_ && journal_->status().ok()) {
        journal_->Follow(*runner_, !runner_->active());
      }
    });
  }
  void Begin() {
    MakeJournal();
    Start();
    journal_->Begin(*runner_, {.prompt = spec_.prompt, .is_one_shot = true});
    Settle();
  }
  // What was posted, without letting time pass.
  void Settle() {
    while (loop_.RunReady()) {
    }
  }
  void OnTurnChanged() override {
    TurnRunnerFixture::OnTurnChanged();
    if (follows_) journal_->Follow(*runner_, !runner_->active());
  }
  void RunToTokens(int64_t tokens) {
    RunUntil([&] { return runner_->usage().generated_tokens >= tokens; });
  }
  std::vector<TokenId> Generated() {
    const absl::Span<const TokenId> tokens = runner_->turn().generated();
    return {tokens.begin(), tokens.end()};
  }
  StoredTurn Stored() {
    const StoredSession session = store_.Stored(kId);
    return session.turns.empty() ? StoredTurn() : session.turns.back();
  }

  FaultyStore store_;
  std::optional<TurnJournal> journal_;
  bool follows_ = false;
  int calls_ = 0;
};

TEST(DiffersFromStoreTest, ErrorsThatPassAreNone) {
  EXPECT_FALSE(DiffersFromStore(absl::OkStatus()));
  EXPECT_FALSE(DiffersFromStore(absl::UnavailableError("")));
  EXPECT_FALSE(DiffersFromStore(absl::ResourceExhaustedError("")));
  EXPECT_TRUE(DiffersFromStore(absl::AbortedError("")));
  EXPECT_TRUE(DiffersFromStore(absl::NotFoundError("")));
  EXPECT_TRUE(DiffersFromStore(absl::FailedPreconditionError("")));
  EXPECT_TRUE(DiffersFromStore(absl::DataLossError("")));
}

TEST_F(TurnJournalTest, WithoutAStoreThereIsNothingToWaitFor) {
  journal_.emplace(TurnJournal::Setup{.loop = &loop_, .key = {kId, 1, 1}});
  EXPECT_TRUE(journal_->is_begun());
  EXPECT_TRUE(journal_->is_end_answered());
  Start();
  journal_->Begin(*runner_, {.prompt = spec_.prompt});
  RunToEnd();
  journal_->Follow(*runner_, /*rests=*/true);
  EXPECT_FALSE(journal_->UnstoredEnd(*runner_).has_value());
  EXPECT_TRUE(journal_->status().ok());
}

TEST_F(TurnJournalTest, BeginsWithTheSession) {
  timeout_ = std::chrono::milliseconds(1234567);
  MakeJournal();
  EXPECT_FALSE(journal_->is_begun());
  Start();
  journal_->Begin(*runner_, {.prompt = spec_.prompt, .is_one_shot = true});
  EXPECT_FALSE(journal_->is_begun()) << "not before the loop knows";
  Settle();
  EXPECT_TRUE(journal_->is_begun());
  EXPECT_EQ(calls_, 1);
  const StoredSession session = store_.Stored(kId);
  EXPECT_EQ(session.record.tenant, "tenant");
  EXPECT_EQ(session.record.model_id, "fake");
  EXPECT_EQ(session.record.vocabulary_fingerprint, "vocabulary");
  EXPECT_TRUE(session.record.is_one_shot);
  EXPECT_EQ(session.driver_epoch, kFirstDriverEpoch);
  ASSERT_EQ(session.turns.size(), 1u);
  EXPECT_EQ(Stored().record.prompt, spec_.prompt);
  EXPECT_EQ(Stored().record.fingerprint, "fp");
  EXPECT_EQ(Stored().record.setup, WriteTurnSetup(*runner_));
}

TEST_F(TurnJournalTest, TokensAreWrittenInGroups) {
  Begin();
  follows_ = true;
  RunToTokens(kJournalTokens - kDraftLengthLimit);
  EXPECT_EQ(store_.calls(StoreCall::kTokens), 0);
  RunToTokens(3 * kJournalTokens);
  EXPECT_GE(store_.calls(StoreCall::kTokens), 2);
  EXPECT_LE(store_.calls(StoreCall::kTokens), 3);
  // The rest where it rests, with its time.
  runner_->Suspend(absl::OkStatus());
  Settle();
  EXPECT_EQ(Stored().generated, Generated());
  EXPECT_EQ(Stored().elapsed_ms, runner_->times().total_us / 1000);
  EXPECT_FALSE(Stored().end_reason.has_value());
  const int calls = store_.calls(StoreCall::kTokens);
  journal_->Follow(*runner_, /*rests=*/true);
  EXPECT_EQ(store_.calls(StoreCall::kTokens), calls) << "nothing is new";
}

TEST_F(TurnJournalTest, OneWriteOfTokensAtATime) {
  Begin();
  follows_ = true;
  RunToTokens(5);
  store_.Hold();
  RunToTokens(100);
  EXPECT_EQ(store_.calls(StoreCall::kTokens), 1);
  store_.Release();
  Settle();
  runner_->Suspend(absl::OkStatus());
  Settle();
  EXPECT_EQ(Stored().generated, Generated());
}

TEST_F(TurnJournalTest, TokensThatFailedAreWrittenAgain) {
  store_.Fail(StoreCall::kTokens, {.first = 1, .last = 2, .happens = true});
  Begin();
  follows_ = true;
  RunToTokens(100);
  EXPECT_TRUE(journal_->status().ok()) << "the third one";
  runner_->Suspend(absl::OkStatus());
  Settle();
  EXPECT_EQ(Stored().generated, Generated());
}

TEST_F(TurnJournalTest, TokensWithLogprobsAreNotWritten) {
  spec_.options.logprobs = 1;
  Begin();
  follows_ = true;
  RunToTokens(100);
  runner_->Suspend(absl::OkStatus());
  Settle();
  EXPECT_EQ(store_.calls(StoreCall::kTokens), 0);
  runner_->Resume();
  RunToEnd();
  Settle();
  // The next turn's history needs them.
  EXPECT_EQ(Stored().generated, Generated());
}

TEST_F(TurnJournalTest, TheEndIsAnswered) {
  Begin();
  follows_ = true;
  RunToEnd();
  EXPECT_FALSE(journal_->is_end_answered());
  EXPECT_TRUE(journal_->UnstoredEnd(*runner_).has_value());
  calls_ = 0;
  Settle();
  EXPECT_TRUE(journal_->is_end_answered());
  EXPECT_GE(calls_, 1);
  EXPECT_FALSE(journal_->UnstoredEnd(*runner_).has_value());
  EXPECT_EQ(Stored().generated, Generated());
  EXPECT_EQ(Stored().end_reason, FinishReason::kLength);
  v1::TurnEnded figures;
  ASSERT_TRUE(figures.ParseFromString(Stored().figures));
  EXPECT_EQ(figures.usage().generated_tokens(), 120);
  EXPECT_EQ(figures.text(), "");
  journal_->Follow(*runner_, /*rests=*/true);
  EXPECT_EQ(store_.calls(StoreCall::kEnd), 1);
}

TEST_F(TurnJournalTest, AnEndThatFailedIsWrittenAgain) {
  store_.Fail(StoreCall::kEnd, {.happens = true});
  Begin();
  follows_ = true;
  RunToEnd();
  Settle();
  EXPECT_TRUE(journal_->is_end_answered());
  EXPECT_TRUE(absl::IsUnavailable(journal_->status()));
  EXPECT_TRUE(journal_->UnstoredEnd(*runner_).has_value());
  journal_->Follow(*runner_, /*rests=*/true);
  EXPECT_FALSE(journal_->is_end_answered());
  Settle();
  EXPECT_TRUE(journal_->status().ok());
  EXPECT_FALSE(journal_->UnstoredEnd(*runner_).has_value());
}

TEST_F(TurnJournalTest, AnEndGoesAlongWithTheNextTurn) {
  store_.Fail(StoreCall::kEnd, {.first = 1, .last = 100});
  Begin();
  follows_ = true;
  RunToEnd();
  Settle();
  EXPECT_FALSE(Stored().end_reason.has_value());
  const std::vector<TokenId> generated = Generated();
  std::optional<TurnEnd> previous = journal_->UnstoredEnd(*runner_);
  follows_ = false;
  MakeJournal(/*turn=*/2);
  Start();
  const std::vector<TokenId> prompt = {270};
  journal_->Begin(*runner_,
                  {.prompt = prompt, .previous = std::move(previous)});
  Settle();
  ASSERT_TRUE(journal_->is_begun());
  const StoredSession session = store_.Stored(kId);
  ASSERT_EQ(session.turns.size(), 2u);
  EXPECT_EQ(session.turns[0].generated, generated);
  EXPECT_EQ(session.turns[0].end_reason, FinishReason::kLength);
  EXPECT_EQ(session.turns[1].record.prompt, prompt);
}

TEST_F(TurnJournalTest, WhatAnotherHasIsNotWrittenAnyMore) {
  Begin();
  follows_ = true;
  RunToTokens(10);
  store_.inner()->TakeOver(kId, "tenant", [](absl::StatusOr<StoredSession>) {});
  RunToTokens(100);
  EXPECT_TRUE(absl::IsAborted(journal_->status()));
  EXPECT_EQ(store_.calls(StoreCall::kTokens), 1);
  RunToEnd();
  Settle();
  EXPECT_EQ(store_.calls(StoreCall::kEnd), 0);
  EXPECT_TRUE(Stored().generated.empty());
}

TEST_F(TurnJournalTest, ABeginningThatFailed) {
  store_.Fail(StoreCall::kBegin, {.happens = true});
  Begin();
  EXPECT_FALSE(journal_->is_begun());
  EXPECT_TRUE(absl::IsUnavailable(journal_->status()));
  EXPECT_EQ(calls_, 1);
  RunToEnd();
  journal_->Follow(*runner_, /*rests=*/true);
  EXPECT_EQ(store_.calls(StoreCall::kEnd), 0);
}

// Answers come when the journal has gone, or make it go.
TEST_F(TurnJournalTest, MayGoAtAnyTime) {
  store_.Hold();
  Begin();
  journal_.reset();
  store_.Release();
  Settle();
  EXPECT_EQ(calls_, 0);
  MakeJournal();
  journal_->SetListener([this] {
    ++calls_;
    journal_.reset();
  });
  Start();
  journal_->Begin(*runner_, {.prompt = spec_.prompt});
  Settle();
  EXPECT_EQ(calls_, 1);
  EXPECT_FALSE(journal_.has_value());
}

}  // namespace
}  // namespace tandem
