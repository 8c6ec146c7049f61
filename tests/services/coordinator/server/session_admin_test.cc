#include "services/coordinator/server/session_admin.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "engine/base/status.h"
#include "services/coordinator/store/memory_state_store.h"
#include "tests/services/coordinator/fake_links.h"

namespace tandem {
namespace {

using ::testing::HasSubstr;

class NoLimits final : public TenantLimitsSource {
 public:
  TenantLimits LimitsOf(absl::string_view /*tenant*/) const override {
    return {};
  }
};

// A store that fails.
class FailingStore final : public StateStore {
 public:
  explicit FailingStore(absl::Status status) : status_(std::move(status)) {}

  void BeginTurn(TurnBegin, Committed done) override { done(status_); }
  void AddTokens(TurnTokens, Committed done) override { done(status_); }
  void EndTurn(TurnEnd, Committed done) override { done(status_); }
  void TakeOver(std::string, std::string, Answer<StoredSession> done) override {
    done(status_);
  }
  void FindLost(std::vector<HeldSession>,
                Answer<std::vector<std::string>> done) override {
    done(status_);
  }
  void Load(std::string, Answer<StoredSession> done) override { done(status_); }
  void List(SessionsOf, std::string,
            Answer<std::vector<SessionSummary>> done) override {
    done(status_);
  }
  void Delete(SessionsOf, std::string, Committed done) override {
    done(status_);
  }
  void Prune(Retention, Answer<int64_t> done) override { done(status_); }

 private:
  const absl::Status status_;
};

std::string IdOf(int number) { return absl::StrFormat("%032x", number); }

std::string ReasonOf(const absl::Status& status) {
  const std::optional<ErrorDetail> detail = GetErrorDetail(status);
  return detail.has_value() ? detail->reason : "";
}

class SessionAdminTest : public ::testing::Test, public SessionHolder {
 protected:
  SessionAdminTest()
      : loop_(&clock_),
        budget_(int64_t{1} << 30),
        sessions_(&loop_, {}, &tenants_, &budget_),
        admin_({.store = &store_, .sessions = &sessions_, .loop = &loop_}) {}

  bool opens_turn() const override { return false; }
  void OnLost(const absl::Status& why) override {
    lost_ = why;
    sessions_.LetGo(held_);
  }

  // A session with one turn: a prompt of 3 tokens, and 2 that were generated.
  void AddSession(const std::string& id, const std::string& tenant) {
    TurnBegin begin = {
        .key = {.session_id = id, .epoch = kFirstDriverEpoch, .turn = 1}};
    begin.session = SessionRecord{.tenant = tenant,
                                  .model_id = "tales",
                                  .vocabulary_fingerprint = "vocabulary"};
    begin.turn = {.fingerprint = "fp", .prompt = {1, 2, 3}};
    store_.BeginTurn(std::move(begin), [](const absl::Status& status) {
      EXPECT_TRUE(status.ok()) << status;
    });
    TurnTokens tokens;
    tokens.key = {.session_id = id, .epoch = kFirstDriverEpoch, .turn = 1};
    tokens.tokens = {4, 5};
    store_.AddTokens(std::move(tokens), [](const absl::Status& status) {
      EXPECT_TRUE(status.ok()) << status;
    });
  }
  void EndTurn(const std::string& id, int64_t turn, FinishReason reason) {
    TurnEnd end;
    end.last.key = {.session_id = id, .epoch = kFirstDriverEpoch, .turn = turn};
    end.last.first_token = 2;
    end.reason = reason;
    store_.EndTurn(std::move(end), [](const absl::Status& status) {
      EXPECT_TRUE(status.ok()) << status;
    });
  }
  absl::Status List(const SessionAdmin& admin, const std::string& tenant = "",
                    const std::string& page_token = "") {
    v1::ListSessionsRequest request;
    request.set_tenant(tenant);
    request.set_page_token(page_token);
    page_.Clear();
    return Await([&](SessionAdmin::Done done) {
      admin.List(request, &page_, std::move(done));
    });
  }
  absl::Status Show(const SessionAdmin& admin, const std::string& id) {
    v1::ShowSessionRequest request;
    request.set_session_id(id);
    shown_.Clear();
    return Await([&](SessionAdmin::Done done) {
      admin.Show(request, &shown_, std::move(done));
    });
  }
  absl::Status Delete(const SessionAdmin& admin, const std::string& id) {
    v1::DeleteSessionRequest request;
    request.set_session_id(id);
    return Await([&](SessionAdmin::Done done) {
      admin.Delete(request, std::move(done));
    });
  }
  template <typename Start>
  absl::Status Await(Start start) {
    std::optional<absl::Status> answer;
    start([&answer](const absl::Status& status) { answer = status; });
    loop_.RunReady();
    EXPECT_TRUE(answer.has_value());
    return answer.value_or(absl::UnknownError("no answer"));
  }

  FakeClock clock_;
  EventLoop loop_;
  NoLimits tenants_;
  MemoryBudget budget_;
  SessionStore sessions_;
  MemoryStateStore store_;
  const SessionAdmin admin_;
  Session* held_ = nullptr;
  absl::Status lost_;
  v1::ListSessionsResponse page_;
  v1::ShowSessionResponse shown_;
};

TEST_F(SessionAdminTest, ListsAllOrThoseOfATenant) {
  ASSERT_TRUE(List(admin_).ok());
  EXPECT_EQ(page_.sessions_size(), 0);
  AddSession(IdOf(1), "alice");
  AddSession(IdOf(2), "bob");
  EndTurn(IdOf(2), 1, FinishReason::kLength);
  const int64_t now = absl::ToUnixSeconds(absl::Now());
  ASSERT_TRUE(List(admin_).ok());
  ASSERT_EQ(page_.sessions_size(), 2);
  EXPECT_EQ(page_.next_page_token(), "");
  const v1::SessionSummary& one = page_.sessions(0);
  EXPECT_EQ(one.session_id(), IdOf(1));
  EXPECT_EQ(one.tenant(), "alice");
  EXPECT_EQ(one.model_id(), "tales");
  EXPECT_EQ(one.state(), v1::SESSION_STATE_TURN_OPEN);
  EXPECT_EQ(one.turns(), 1);
  EXPECT_NEAR(one.created_at_seconds(), now, 60);
  EXPECT_NEAR(one.used_at_seconds(), now, 120);
  EXPECT_EQ(page_.sessions(1).state(), v1::SESSION_STATE_IDLE);
  ASSERT_TRUE(List(admin_, "bob").ok());
  ASSERT_EQ(page_.sessions_size(), 1);
  EXPECT_EQ(page_.sessions(0).session_id(), IdOf(2));
}

TEST_F(SessionAdminTest, ListsByPages) {
  const int count = 2 * static_cast<int>(kListedSessionsMax) + 7;
  for (int i = 0; i < count; ++i) AddSession(IdOf(i), "alice");
  int seen = 0;
  std::string token;
  do {
    ASSERT_TRUE(List(admin_, "", token).ok());
    for (const v1::SessionSummary& session : page_.sessions()) {
      EXPECT_EQ(session.session_id(), IdOf(seen++));
    }
    token = page_.next_page_token();
  } while (!token.empty());
  EXPECT_EQ(seen, count);
  const absl::Status wrong = List(admin_, "", "2");
  EXPECT_EQ(wrong.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(wrong.message()), HasSubstr("page_token"));
}

TEST_F(SessionAdminTest, ShowsTurnsInTokens) {
  AddSession(IdOf(1), "alice");
  ASSERT_TRUE(Show(admin_, IdOf(1)).ok());
  EXPECT_EQ(shown_.session().session_id(), IdOf(1));
  EXPECT_EQ(shown_.session().state(), v1::SESSION_STATE_TURN_OPEN);
  EXPECT_EQ(shown_.vocabulary_fingerprint(), "vocabulary");
  ASSERT_EQ(shown_.turns_size(), 1);
  EXPECT_EQ(shown_.turns(0).turn(), 1);
  EXPECT_EQ(shown_.turns(0).fingerprint(), "fp");
  EXPECT_EQ(shown_.turns(0).prompt_tokens(), 3);
  EXPECT_EQ(shown_.turns(0).generated_tokens(), 2);
  EXPECT_FALSE(shown_.turns(0).ended());
  EndTurn(IdOf(1), 1, FinishReason::kStopToken);
  ASSERT_TRUE(Show(admin_, IdOf(1)).ok());
  EXPECT_EQ(shown_.session().state(), v1::SESSION_STATE_IDLE);
  EXPECT_TRUE(shown_.turns(0).ended());
  EXPECT_EQ(shown_.turns(0).finish_reason(), v1::FINISH_REASON_STOP_TOKEN);
}

TEST_F(SessionAdminTest, ShowsTheNewestTurnsOfMany) {
  AddSession(IdOf(1), "alice");
  EndTurn(IdOf(1), 1, FinishReason::kLength);
  const auto count = static_cast<int64_t>(kShownTurnsMax) + 5;
  for (int64_t turn = 2; turn <= count; ++turn) {
    TurnBegin begin = {.key = {.session_id = IdOf(1),
                               .epoch = kFirstDriverEpoch,
                               .turn = turn}};
    store_.BeginTurn(std::move(begin), [](const absl::Status&) {});
    TurnEnd end;
    end.last.key = {
        .session_id = IdOf(1), .epoch = kFirstDriverEpoch, .turn = turn};
    store_.EndTurn(std::move(end), [](const absl::Status&) {});
  }
  ASSERT_TRUE(Show(admin_, IdOf(1)).ok());
  EXPECT_EQ(shown_.session().turns(), count);
  ASSERT_EQ(shown_.turns_size(), static_cast<int>(kShownTurnsMax));
  EXPECT_EQ(shown_.turns(0).turn(), 6);
  EXPECT_EQ(shown_.turns(shown_.turns_size() - 1).turn(), count);
}

TEST_F(SessionAdminTest, WhatIsNotThere) {
  AddSession(IdOf(1), "alice");
  for (const std::string& id : {IdOf(2), std::string("x"), std::string()}) {
    EXPECT_EQ(ReasonOf(Show(admin_, id)), kReasonUnknownSession);
    EXPECT_EQ(ReasonOf(Delete(admin_, id)), kReasonUnknownSession);
  }
  EXPECT_TRUE(Show(admin_, IdOf(1)).ok());
}

TEST_F(SessionAdminTest, DeletesFromTheStoreAndHere) {
  AddSession(IdOf(1), "alice");
  AddSession(IdOf(2), "alice");
  const absl::StatusOr<Session*> session =
      sessions_.Add(IdOf(1), "alice", SessionUse::kConversation);
  ASSERT_TRUE(session.ok()) << session.status();
  held_ = *session;
  sessions_.Hold(held_, this);
  ASSERT_TRUE(Delete(admin_, IdOf(1)).ok());
  EXPECT_EQ(sessions_.size(), 0);
  EXPECT_EQ(ReasonOf(lost_), kReasonUnknownSession);
  EXPECT_EQ(ReasonOf(Delete(admin_, IdOf(1))), kReasonUnknownSession);
  ASSERT_TRUE(List(admin_).ok());
  EXPECT_EQ(page_.sessions_size(), 1);
  // Of another process, or of none.
  EXPECT_TRUE(Delete(admin_, IdOf(2)).ok());
  // One that the store has lost.
  ASSERT_TRUE(sessions_.Add(IdOf(3), "bob", SessionUse::kOneShot).ok());
  EXPECT_TRUE(Delete(admin_, IdOf(3)).ok());
  EXPECT_EQ(sessions_.size(), 0);
}

TEST_F(SessionAdminTest, WithoutAStoreItSaysWhatHelps) {
  const SessionAdmin admin({.sessions = &sessions_, .loop = &loop_});
  for (const absl::Status& status :
       {List(admin), Show(admin, IdOf(1)), Delete(admin, IdOf(1))}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(status.message()), HasSubstr("--state-dir"));
  }
}

TEST_F(SessionAdminTest, AStoreThatIsAwayOrDamaged) {
  FailingStore away(absl::UnavailableError("the disk is full"));
  const SessionAdmin admin(
      {.store = &away, .sessions = &sessions_, .loop = &loop_});
  ASSERT_TRUE(sessions_.Add(IdOf(1), "bob", SessionUse::kOneShot).ok());
  for (const absl::Status& status :
       {List(admin), Show(admin, IdOf(1)), Delete(admin, IdOf(1))}) {
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ(ReasonOf(status), kReasonStoreUnavailable);
  }
  EXPECT_EQ(sessions_.size(), 1) << "it would come back from the store";
  FailingStore damaged(absl::DataLossError("row 7"));
  const SessionAdmin other(
      {.store = &damaged, .sessions = &sessions_, .loop = &loop_});
  EXPECT_EQ(Show(other, IdOf(1)), absl::DataLossError("row 7"));
}

}  // namespace
}  // namespace tandem
