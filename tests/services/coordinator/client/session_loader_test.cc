#include "services/coordinator/client/session_loader.h"

#include <gtest/gtest.h>

#include "engine/base/error_reason.h"
#include "tandem/v1/turn_record.pb.h"
#include "tests/services/coordinator/stored_fixture.h"

namespace tandem {
namespace {

class SessionLoaderTest : public StoredFixture {
 protected:
  // A session of one turn, which `a_` has driven to its end.
  SessionLoaderTest() {
    FakeClient* const client = Connect(a_);
    client->Start("w1 w2", 50);
    RunToEnd(client);
    id_ = client->session_id;
    tokens_ = client->tokens;
  }
  absl::Status Load(FakeCoordinator* at, LoadFor purpose = LoadFor::kResume,
                    const std::string& tenant = "tenant") {
    std::optional<absl::Status> answer;
    at->loader.Load(id_, tenant, purpose,
                    [&answer](const absl::Status& status) {
                      EXPECT_FALSE(answer.has_value());
                      answer = status;
                    });
    EXPECT_FALSE(answer.has_value()) << "not from within Load";
    RunUntil([&answer] { return answer.has_value(); });
    return *answer;
  }
  std::string ReasonOf(const absl::Status& status) {
    const std::optional<ErrorDetail> detail = GetErrorDetail(status);
    return detail.has_value() ? detail->reason : "";
  }
  // One more turn in the store, which has not ended.
  void AddTurn(TurnRecord record, const std::vector<TokenId>& generated) {
    const TurnKey key = {id_, store_.Stored(id_).driver_epoch, 2};
    store_.BeginTurn({.key = key, .turn = std::move(record)},
                     [](absl::Status status) { ASSERT_TRUE(status.ok()); });
    if (generated.empty()) return;
    store_.AddTokens({.key = key, .tokens = generated, .elapsed_ms = 1500},
                     [](absl::Status status) { ASSERT_TRUE(status.ok()); });
  }
  TurnRecord RecordOf(std::vector<TokenId> prompt) {
    v1::TurnSetupRecord setup;
    setup.mutable_options()->set_max_tokens(40);
    setup.mutable_options()->set_seed(7);
    setup.set_timeout_ms(5000);
    setup.set_template_date("2026-01-02");
    setup.set_context_max(9000);
    setup.set_go_on_ms(7000);
    return {.fingerprint = "fp",
            .prompt = std::move(prompt),
            .setup = setup.SerializeAsString()};
  }
  Session* Found(FakeCoordinator* at) {
    const absl::StatusOr<Session*> session = at->sessions.Find(id_, "tenant");
    return session.ok() ? *session : nullptr;
  }

  std::string id_;
  std::vector<TokenId> tokens_;
};

TEST_F(SessionLoaderTest, IsNeededWhereTheSessionIsNotHere) {
  EXPECT_TRUE(b_->loader.IsNeeded(id_, "tenant", LoadFor::kResume));
  EXPECT_FALSE(b_->loader.IsNeeded("", "tenant", LoadFor::kResume));
  EXPECT_FALSE(b_->loader.IsNeeded("no id", "tenant", LoadFor::kResume));
  // Another coordinator may have taken it over.
  EXPECT_TRUE(a_->loader.IsNeeded(id_, "tenant", LoadFor::kResume));
  SessionLoader alone({.store = &store_, .sessions = &a_->sessions});
  EXPECT_FALSE(alone.IsNeeded(id_, "tenant", LoadFor::kResume));
  SessionLoader none({.sessions = &a_->sessions});
  EXPECT_FALSE(none.IsNeeded(DrawSessionId(), "tenant", LoadFor::kResume));
  EXPECT_EQ(none.store(), nullptr);
}

TEST_F(SessionLoaderTest, BringsWhatTheStoreHas) {
  AddTurn(RecordOf({261, 262}), {265, 266, 267});
  EXPECT_TRUE(Load(b_).ok());
  Session* const session = Found(b_);
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(session->epoch(), 2);
  EXPECT_EQ(session->turns(), 2);
  EXPECT_EQ(session->use(), SessionUse::kConversation);
  EXPECT_EQ(session->holder(), nullptr);
  const TurnRunner& runner = *session->turn();
  EXPECT_EQ(runner.state(), TurnState::kSuspended);
  EXPECT_TRUE(runner.is_restored());
  EXPECT_EQ(runner.model().id, "fake");
  EXPECT_EQ(runner.model().fingerprint, "fp");
  EXPECT_EQ(runner.model().vocabulary_fingerprint, "vocabulary");
  EXPECT_EQ(runner.setup().number, 2);
  EXPECT_EQ(runner.setup().tenant, "tenant");
  EXPECT_EQ(runner.setup().template_date, "2026-01-02");
  EXPECT_EQ(runner.setup().timeout, std::chrono::seconds(5));
  EXPECT_EQ(runner.setup().go_on, std::chrono::seconds(7));
  EXPECT_EQ(runner.setup().previous_fingerprint, "fp");
  EXPECT_EQ(runner.target().moves(), 1);
  EXPECT_EQ(runner.times().total_us, 1500000);
  EXPECT_EQ(runner.turn().options().max_tokens, 40);
  EXPECT_EQ(runner.turn().context_max(), 9000);
  std::vector<TokenId> history = PromptOf("w1 w2");
  history.insert(history.end(), tokens_.begin(), tokens_.end());
  history.insert(history.end(), {261, 262, 265, 266, 267});
  EXPECT_EQ(runner.turn().session_tokens(), history);
  // Its memory is counted.
  EXPECT_GE(b_->memory.UsedBy("tenant"), session->bytes());
}

TEST_F(SessionLoaderTest, AMadeEndIsHeardAsItWas) {
  EXPECT_TRUE(Load(b_).ok());
  const SessionTurn* const last = Found(b_)->last();
  EXPECT_EQ(last->runner.state(), TurnState::kEnded);
  ASSERT_TRUE(last->loaded_end.has_value());
  EXPECT_EQ(last->loaded_end->usage().generated_tokens(), 50);
  EXPECT_FALSE(last->journal.UnstoredEnd(last->runner).has_value());
}

// A start drops a turn that its client never heard of; a resume names it.
TEST_F(SessionLoaderTest, ATurnWithoutATokenIsDroppedForAStart) {
  AddTurn(RecordOf({261}), {});
  FakeCoordinator* const other = AddCoordinator();
  EXPECT_TRUE(Load(other).ok());
  EXPECT_EQ(Found(other)->turns(), 2);
  EXPECT_TRUE(Load(b_, LoadFor::kNextTurn).ok());
  EXPECT_EQ(Found(b_)->turns(), 1);
}

// The start was lost, and its client resumes the turn that it began elsewhere.
TEST_F(SessionLoaderTest, ATurnThatWasDroppedIsLoadedForAResume) {
  AddTurn(RecordOf({261}), {});
  EXPECT_TRUE(Load(b_, LoadFor::kNextTurn).ok());
  SessionLoader alone({.store = &store_, .sessions = &b_->sessions});
  EXPECT_FALSE(alone.IsNeeded(id_, "tenant", LoadFor::kNextTurn));
  EXPECT_TRUE(alone.IsNeeded(id_, "tenant", LoadFor::kResume));
  EXPECT_TRUE(Load(b_).ok());
  EXPECT_EQ(Found(b_)->turns(), 2);
  EXPECT_FALSE(alone.IsNeeded(id_, "tenant", LoadFor::kResume));
}

// Also where it comes while the session is loaded for the start.
TEST_F(SessionLoaderTest, AResumeDoesNotWaitForALoadWithoutItsTurn) {
  AddTurn(RecordOf({261}), {});
  store_.Hold();
  int answers = 0;
  for (const LoadFor purpose : {LoadFor::kNextTurn, LoadFor::kResume}) {
    b_->loader.Load(id_, "tenant", purpose,
                    [&answers](const absl::Status& status) {
                      EXPECT_TRUE(status.ok()) << status;
                      ++answers;
                    });
  }
  store_.Release();
  RunUntil([&answers] { return answers == 2; });
  EXPECT_EQ(Found(b_)->turns(), 2);
}

TEST_F(SessionLoaderTest, ATurnWithTokensStaysForAStart) {
  AddTurn(RecordOf({261}), {265});
  EXPECT_TRUE(Load(b_, LoadFor::kNextTurn).ok());
  EXPECT_EQ(Found(b_)->turns(), 2);
}

TEST_F(SessionLoaderTest, AnotherTenantsSessionLooksLikeNone) {
  const absl::Status status = Load(b_, LoadFor::kResume, "other");
  EXPECT_EQ(ReasonOf(status), kReasonUnknownSession);
  EXPECT_EQ(store_.Stored(id_).driver_epoch, 1);
}

TEST_F(SessionLoaderTest, SaysWhyItCanNot) {
  store_.Fail(StoreCall::kTakeOver, {.first = 1, .last = 1000});
  absl::Status status = Load(b_);
  EXPECT_EQ(ReasonOf(status), kReasonStoreUnavailable);
  EXPECT_TRUE(GetErrorDetail(status)->retry_delay_ms.has_value());
  store_.Fail(StoreCall::kTakeOver,
              {.first = 1,
               .last = 1000,
               .status = absl::DataLossError("row 7 is damaged")});
  EXPECT_TRUE(absl::IsDataLoss(Load(b_)));
  store_.Mend();
  // Who can not go on with it does not take it from who can.
  b_->SetWorkers(0);
  EXPECT_EQ(ReasonOf(Load(b_)), kReasonNoWorker);
  EXPECT_EQ(store_.Stored(id_).driver_epoch, 1);
  b_->info.vocabulary_fingerprint = "another";
  b_->SetWorkers(1);
  EXPECT_EQ(ReasonOf(Load(b_)), kReasonVocabularyMismatch);
  EXPECT_EQ(Found(b_), nullptr);
  EXPECT_EQ(b_->memory.UsedBy("tenant"), 0);
  b_->info.vocabulary_fingerprint = "vocabulary";
  b_->SetWorkers(1);
  EXPECT_TRUE(Load(b_).ok());
}

TEST_F(SessionLoaderTest, AnAnswerOfTheStoreIsSaidInTheClientsWords) {
  const auto reason = [this](const absl::Status& answer) {
    return ReasonOf(InClientsWords(answer));
  };
  EXPECT_TRUE(InClientsWords(absl::OkStatus()).ok());
  EXPECT_EQ(reason(absl::UnavailableError("host")), kReasonStoreUnavailable);
  EXPECT_EQ(reason(absl::ResourceExhaustedError("")), kReasonStoreUnavailable);
  EXPECT_EQ(reason(absl::NotFoundError("")), kReasonUnknownSession);
  EXPECT_EQ(InClientsWords(absl::AbortedError("")), ResumedElsewhere());
  const absl::Status damaged = absl::DataLossError("row 7 is damaged");
  EXPECT_EQ(InClientsWords(damaged), damaged);
}

TEST_F(SessionLoaderTest, RefusesWhatItDoesNotUnderstand) {
  TurnRecord record = RecordOf({261});
  record.setup = "\xFF\xFF";
  AddTurn(record, {});
  EXPECT_TRUE(absl::IsDataLoss(Load(b_)));
  AddTurn(RecordOf({100000}), {});
  EXPECT_TRUE(absl::IsDataLoss(Load(b_)));
  AddTurn(RecordOf({261}), std::vector<TokenId>(41, 265));
  EXPECT_TRUE(absl::IsDataLoss(Load(b_)));  // more tokens than it may have
}

// Several streams ask for one session: it is taken over once.
TEST_F(SessionLoaderTest, AsksOnceForAllWhoWait) {
  store_.Hold();
  int answers = 0;
  for (int i = 0; i < 3; ++i) {
    b_->loader.Load(id_, "tenant", LoadFor::kResume,
                    [&answers](const absl::Status& status) {
                      EXPECT_TRUE(status.ok()) << status;
                      ++answers;
                    });
  }
  store_.Release();
  RunUntil([&answers] { return answers == 3; });
  EXPECT_EQ(store_.Stored(id_).driver_epoch, 2);
}

TEST_F(SessionLoaderTest, WhatIsStillOursStays) {
  const SessionTurn* const before = Found(a_)->last();
  EXPECT_TRUE(Load(a_).ok());
  EXPECT_EQ(Found(a_)->last(), before);
  EXPECT_EQ(store_.Stored(id_).driver_epoch, 1);
  // Where the store does not answer, nobody knows.
  store_.Fail(StoreCall::kFindLost, {.first = 1, .last = 1000});
  EXPECT_EQ(ReasonOf(Load(a_)), kReasonStoreUnavailable);
  EXPECT_EQ(Found(a_)->last(), before);
}

TEST_F(SessionLoaderTest, WhatAnotherHasIsTakenBack) {
  EXPECT_TRUE(Load(b_).ok());
  EXPECT_TRUE(Load(a_).ok());
  EXPECT_EQ(Found(a_)->epoch(), 3);
  EXPECT_EQ(a_->sessions.size(), 1);
}

TEST_F(SessionLoaderTest, ADeletedSessionGoes) {
  store_.Delete({}, id_, [](absl::Status status) { ASSERT_TRUE(status.ok()); });
  EXPECT_EQ(ReasonOf(Load(a_)), kReasonUnknownSession);
  EXPECT_EQ(a_->sessions.size(), 0);
}

// The server's end: the store answers last.
TEST_F(SessionLoaderTest, AnAnswerMayComeWhenTheLoaderHasGone) {
  EventLoop loop(&clock_);
  auto loader = std::make_unique<SessionLoader>(
      SessionLoader::Parts{.store = &store_,
                           .sessions = &b_->sessions,
                           .router = &b_->router,
                           .quotas = &b_->quotas,
                           .loop = &loop});
  store_.Hold();
  loader->Load(id_, "tenant", LoadFor::kResume,
               [](const absl::Status& /*status*/) { FAIL(); });
  loader.reset();
  store_.Release();
}

}  // namespace
}  // namespace tandem
