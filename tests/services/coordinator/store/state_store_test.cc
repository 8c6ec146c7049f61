// What all stores promise, each in turn; and what those that outlive a process
// promise beside it.

#include "services/coordinator/store/state_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "tests/engine/base/wall_clock.h"
#include "tests/services/coordinator/store/store_fixture.h"

namespace tandem {
namespace {

using testing::Add;
using testing::Begin;
using testing::BeginOf;
using testing::Delete;
using ::testing::ElementsAre;
using testing::End;
using testing::FindLost;
using ::testing::HasSubstr;
using testing::IdOf;
using ::testing::IsEmpty;
using testing::List;
using testing::Load;
using testing::Prune;
using testing::StoreHome;
using testing::StoreKind;
using testing::TakeOver;

class StateStoreTest : public ::testing::TestWithParam<StoreKind> {
 protected:
  StateStoreTest() : home_(GetParam()) {
    auto store = home_.Open();
    EXPECT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

  // Session `number` with one turn that has begun; its key.
  TurnKey MakeTurn(int64_t number) {
    const TurnKey key{
        .session_id = IdOf(number), .epoch = kFirstDriverEpoch, .turn = 1};
    EXPECT_EQ(Begin(store_.get(), BeginOf(key)), absl::OkStatus());
    return key;
  }
  StoredSession Loaded(int64_t number) {
    absl::StatusOr<StoredSession> session = Load(store_.get(), IdOf(number));
    EXPECT_TRUE(session.ok()) << session.status();
    return session.ok() ? *std::move(session) : StoredSession();
  }
  absl::StatusCode AddCode(const TurnTokens& tokens) {
    return Add(store_.get(), tokens).code();
  }
  absl::StatusCode EndCode(const TurnEnd& end) {
    return End(store_.get(), end).code();
  }
  absl::StatusCode BeginCode(const TurnBegin& begin) {
    return Begin(store_.get(), begin).code();
  }

  StoreHome home_;
  std::unique_ptr<StateStore> store_;
};

INSTANTIATE_TEST_SUITE_P(Stores, StateStoreTest,
                         ::testing::Values(StoreKind::kMemory,
                                           StoreKind::kSqlite,
                                           StoreKind::kPostgres),
                         [](const auto& kind) {
                           return testing::KindName(kind.param);
                         });

TEST_P(StateStoreTest, ATurnIsThereOnceItHasBegun) {
  const absl::Time before = absl::Now();
  TurnBegin begin = BeginOf({.session_id = IdOf(7), .epoch = 1, .turn = 1});
  begin.session = SessionRecord{.tenant = "t\xc3\xa4nant",
                                .model_id = "tiny",
                                .vocabulary_fingerprint = "v1",
                                .is_one_shot = true};
  begin.turn.setup = std::string("a\0\xff\n", 4);
  ASSERT_EQ(Begin(store_.get(), begin), absl::OkStatus());

  const StoredSession session = Loaded(7);
  EXPECT_EQ(session.id, IdOf(7));
  EXPECT_EQ(session.record.tenant, "t\xc3\xa4nant");
  EXPECT_EQ(session.record.model_id, "tiny");
  EXPECT_EQ(session.record.vocabulary_fingerprint, "v1");
  EXPECT_TRUE(session.record.is_one_shot);
  EXPECT_EQ(session.driver_epoch, kFirstDriverEpoch);
  EXPECT_LE(before - session.created_at, absl::Seconds(1));
  EXPECT_LE(before - session.used_at, absl::Minutes(1) + absl::Seconds(1));
  ASSERT_EQ(session.turns.size(), 1u);
  const StoredTurn& turn = session.turns[0];
  EXPECT_EQ(turn.number, 1);
  EXPECT_EQ(turn.begun_epoch, 1);
  EXPECT_EQ(turn.record.fingerprint, "f1");
  EXPECT_THAT(turn.record.prompt, ElementsAre(1, 2, 1));
  EXPECT_EQ(turn.record.setup, begin.turn.setup);
  EXPECT_THAT(turn.generated, IsEmpty());
  EXPECT_EQ(turn.end_reason, std::nullopt);
}

TEST_P(StateStoreTest, TokensAndEndsAreKept) {
  const TurnKey key = MakeTurn(1);
  EXPECT_EQ(AddCode({.key = key, .tokens = {10, 11}, .elapsed_ms = 5}),
            absl::StatusCode::kOk);
  EXPECT_EQ(AddCode({.key = key,
                     .first_token = 2,
                     .tokens = {2147483647, 0},
                     .elapsed_ms = 9}),
            absl::StatusCode::kOk);
  StoredSession session = Loaded(1);
  EXPECT_THAT(session.turns[0].generated, ElementsAre(10, 11, 2147483647, 0));
  EXPECT_EQ(session.turns[0].elapsed_ms, 9);
  // Time alone, then tokens in its place.
  EXPECT_EQ(AddCode({.key = key, .first_token = 4, .elapsed_ms = 20}),
            absl::StatusCode::kOk);
  EXPECT_EQ(Loaded(1).turns[0].elapsed_ms, 20);
  EXPECT_EQ(EndCode({.last = {.key = key,
                              .first_token = 4,
                              .tokens = {12},
                              .elapsed_ms = 30},
                     .reason = FinishReason::kStopString,
                     .figures = "used"}),
            absl::StatusCode::kOk);
  session = Loaded(1);
  EXPECT_THAT(session.turns[0].generated,
              ElementsAre(10, 11, 2147483647, 0, 12));
  EXPECT_EQ(session.turns[0].elapsed_ms, 30);
  EXPECT_EQ(session.turns[0].end_reason, FinishReason::kStopString);
  EXPECT_EQ(session.turns[0].figures, "used");
}

TEST_P(StateStoreTest, EveryReasonComesBack) {
  int64_t number = 0;
  for (const FinishReason reason :
       {FinishReason::kStopToken, FinishReason::kStopString,
        FinishReason::kLength, FinishReason::kContext, FinishReason::kCancelled,
        FinishReason::kDeadline, FinishReason::kError,
        FinishReason::kGrammarEnd}) {
    const TurnKey key = MakeTurn(++number);
    EXPECT_EQ(EndCode({.last = {.key = key}, .reason = reason}),
              absl::StatusCode::kOk);
    EXPECT_EQ(Loaded(number).turns[0].end_reason, reason);
  }
}

TEST_P(StateStoreTest, ALongPromptAndManyTurnsComeBack) {
  TurnKey key{.session_id = IdOf(1), .epoch = 1, .turn = 1};
  TurnBegin begin = BeginOf(key);
  begin.turn.prompt.resize(131072);
  for (size_t i = 0; i < begin.turn.prompt.size(); ++i) {
    begin.turn.prompt[i] = static_cast<TokenId>(i * 7);
  }
  ASSERT_EQ(Begin(store_.get(), begin), absl::OkStatus());
  for (key.turn = 2; key.turn <= 12; ++key.turn) {
    TurnBegin next = BeginOf(key);
    TurnKey previous = key;
    --previous.turn;
    next.previous =
        TurnEnd{.last = {.key = previous,
                         .tokens = {static_cast<TokenId>(previous.turn), 5}},
                .reason = FinishReason::kLength};
    ASSERT_EQ(Begin(store_.get(), next), absl::OkStatus());
  }
  const StoredSession session = Loaded(1);
  ASSERT_EQ(session.turns.size(), 12u);
  EXPECT_EQ(session.turns[0].record.prompt, begin.turn.prompt);
  for (size_t i = 0; i + 1 < session.turns.size(); ++i) {
    EXPECT_EQ(session.turns[i].number, static_cast<int64_t>(i) + 1);
    EXPECT_THAT(session.turns[i].generated,
                ElementsAre(static_cast<TokenId>(i) + 1, 5));
    EXPECT_EQ(session.turns[i].end_reason, FinishReason::kLength);
  }
  EXPECT_EQ(session.turns[11].end_reason, std::nullopt);
}

TEST_P(StateStoreTest, WhoTakesOverDrivesAloneFromThenOn) {
  const TurnKey old_key = MakeTurn(1);
  ASSERT_EQ(AddCode({.key = old_key, .tokens = {10}}), absl::StatusCode::kOk);
  const absl::StatusOr<StoredSession> taken = TakeOver(store_.get(), IdOf(1));
  ASSERT_TRUE(taken.ok()) << taken.status();
  EXPECT_EQ(taken->driver_epoch, 2);
  EXPECT_THAT(taken->turns[0].generated, ElementsAre(10));

  const absl::Status late =
      Add(store_.get(), {.key = old_key, .first_token = 1, .tokens = {99}});
  EXPECT_EQ(late.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(late.message()), HasSubstr("taken the session over"));
  EXPECT_EQ(EndCode({.last = {.key = old_key, .first_token = 1},
                     .reason = FinishReason::kCancelled}),
            absl::StatusCode::kAborted);
  TurnKey next = old_key;
  next.turn = 2;
  TurnBegin begin = BeginOf(next);
  begin.previous = TurnEnd{.last = {.key = old_key, .first_token = 1}};
  EXPECT_EQ(BeginCode(begin), absl::StatusCode::kAborted);
  StoredSession session = Loaded(1);
  EXPECT_THAT(session.turns[0].generated, ElementsAre(10));
  EXPECT_EQ(session.turns[0].end_reason, std::nullopt);
  EXPECT_EQ(session.turns.size(), 1u);

  TurnKey new_key = old_key;
  new_key.epoch = 2;
  EXPECT_EQ(AddCode({.key = new_key, .first_token = 1, .tokens = {11}}),
            absl::StatusCode::kOk);
  EXPECT_EQ(EndCode({.last = {.key = new_key, .first_token = 2}}),
            absl::StatusCode::kOk);
  new_key.turn = 2;
  EXPECT_EQ(BeginCode(BeginOf(new_key)), absl::StatusCode::kOk);
  session = Loaded(1);
  EXPECT_THAT(session.turns[0].generated, ElementsAre(10, 11));
  EXPECT_EQ(session.turns[0].begun_epoch, 1);
  EXPECT_EQ(session.turns[1].begun_epoch, 2);
}

TEST_P(StateStoreTest, TakingOverWantsTheTenant) {
  MakeTurn(1);
  for (const auto& [id, tenant] :
       std::vector<std::pair<std::string, std::string>>{
           {IdOf(1), "bob"},
           {IdOf(2), "alice"},
           {"", "alice"},
           {std::string("\0x", 2), "alice"},
           {"' OR 1=1 --", "alice"}}) {
    const absl::Status status = TakeOver(store_.get(), id, tenant).status();
    EXPECT_EQ(status, absl::NotFoundError("the store has no such session"));
  }
  EXPECT_EQ(Loaded(1).driver_epoch, 1);
}

TEST_P(StateStoreTest, ManyTakeOversGetDifferentEpochs) {
  MakeTurn(1);
  constexpr int kThreads = 8;
  constexpr int kEach = 10;
  std::vector<std::thread> threads;
  std::vector<std::vector<int64_t>> epochs(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([this, &mine = epochs[static_cast<size_t>(i)]] {
      for (int n = 0; n < kEach; ++n) {
        const absl::StatusOr<StoredSession> taken =
            TakeOver(store_.get(), IdOf(1));
        if (taken.ok()) mine.push_back(taken->driver_epoch);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::set<int64_t> all;
  for (const std::vector<int64_t>& mine : epochs) {
    EXPECT_TRUE(std::is_sorted(mine.begin(), mine.end()));
    all.insert(mine.begin(), mine.end());
  }
  EXPECT_EQ(all.size(), static_cast<size_t>(kThreads * kEach));
  EXPECT_EQ(Loaded(1).driver_epoch, kThreads * kEach + 1);
}

TEST_P(StateStoreTest, LostSessionsAreFoundAtOnce) {
  std::vector<HeldSession> held;
  for (int64_t number = 1; number <= 1000; ++number) {
    held.push_back({.session_id = IdOf(number), .epoch = 1});
  }
  absl::BlockingCounter begun(998);
  for (int64_t number = 1; number <= 998; ++number) {
    store_->BeginTurn(
        BeginOf({.session_id = IdOf(number), .epoch = 1, .turn = 1}),
        [&](absl::Status status) {
          EXPECT_EQ(status, absl::OkStatus());
          begun.DecrementCount();
        });
  }
  begun.Wait();
  ASSERT_TRUE(TakeOver(store_.get(), IdOf(5)).ok());
  absl::StatusOr<std::vector<std::string>> lost = FindLost(store_.get(), held);
  ASSERT_TRUE(lost.ok()) << lost.status();
  EXPECT_THAT(*lost, ElementsAre(IdOf(5), IdOf(999), IdOf(1000)));
  lost = FindLost(store_.get(), {});
  ASSERT_TRUE(lost.ok()) << lost.status();
  EXPECT_THAT(*lost, IsEmpty());
}

TEST_P(StateStoreTest, WhatIsSentAgainCountsOnce) {
  const TurnKey key{.session_id = IdOf(1), .epoch = 1, .turn = 1};
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(BeginCode(BeginOf(key)), absl::StatusCode::kOk);
  }
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(AddCode({.key = key, .tokens = {10, 11}}), absl::StatusCode::kOk);
  }
  // A begin that was held back drops no tokens.
  EXPECT_EQ(BeginCode(BeginOf(key)), absl::StatusCode::kOk);
  EXPECT_THAT(Loaded(1).turns[0].generated, ElementsAre(10, 11));
  // More, from the same token on.
  EXPECT_EQ(AddCode({.key = key, .tokens = {10, 11, 12}}),
            absl::StatusCode::kOk);
  const TurnEnd end{.last = {.key = key, .first_token = 3, .tokens = {13}},
                    .reason = FinishReason::kCancelled};
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(EndCode(end), absl::StatusCode::kOk);
  }
  EXPECT_THAT(Loaded(1).turns[0].generated, ElementsAre(10, 11, 12, 13));
  // With the next turn, which comes twice too.
  TurnKey next_key = key;
  next_key.turn = 2;
  TurnBegin next = BeginOf(next_key);
  next.previous = end;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(BeginCode(next), absl::StatusCode::kOk);
  }
  EXPECT_EQ(Loaded(1).turns.size(), 2u);
}

TEST_P(StateStoreTest, AnEndIsForGood) {
  const TurnKey key = MakeTurn(1);
  ASSERT_EQ(EndCode({.last = {.key = key, .tokens = {10}}}),
            absl::StatusCode::kOk);
  EXPECT_EQ(AddCode({.key = key, .first_token = 1, .tokens = {11}}),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(EndCode({.last = {.key = key, .tokens = {10}},
                     .reason = FinishReason::kDeadline}),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(EndCode({.last = {.key = key, .tokens = {10, 11}}}),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(BeginCode(BeginOf(key)), absl::StatusCode::kFailedPrecondition);
  const StoredSession session = Loaded(1);
  EXPECT_THAT(session.turns[0].generated, ElementsAre(10));
  EXPECT_EQ(session.turns[0].end_reason, FinishReason::kStopToken);
}

TEST_P(StateStoreTest, AnOpenTurnIsReplaced) {
  const TurnKey key = MakeTurn(1);
  ASSERT_EQ(AddCode({.key = key, .tokens = {10}, .elapsed_ms = 7}),
            absl::StatusCode::kOk);
  TurnBegin other = BeginOf(key);
  other.session.reset();
  other.turn.setup = "other";
  EXPECT_EQ(BeginCode(other), absl::StatusCode::kOk);
  const StoredSession session = Loaded(1);
  ASSERT_EQ(session.turns.size(), 1u);
  EXPECT_EQ(session.turns[0].record.setup, "other");
  EXPECT_THAT(session.turns[0].generated, IsEmpty());
  EXPECT_EQ(session.turns[0].elapsed_ms, 0);
}

TEST_P(StateStoreTest, TurnsThatAreNotThereAreRefused) {
  TurnKey key = MakeTurn(1);
  key.turn = 2;
  EXPECT_EQ(AddCode({.key = key}), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(EndCode({.last = {.key = key}}),
            absl::StatusCode::kFailedPrecondition);
  key.session_id = IdOf(2);
  EXPECT_EQ(AddCode({.key = key}), absl::StatusCode::kNotFound);
  EXPECT_EQ(EndCode({.last = {.key = key}}), absl::StatusCode::kNotFound);
  EXPECT_EQ(BeginCode(BeginOf(key)), absl::StatusCode::kNotFound);
}

TEST_P(StateStoreTest, WhatIsDeletedIsGone) {
  const TurnKey key = MakeTurn(1);
  MakeTurn(2);
  EXPECT_EQ(Delete(store_.get(), IdOf(1), {.tenant = "bob"}).code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(Delete(store_.get(), "all").code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Delete(store_.get(), IdOf(1), {.tenant = "alice"}),
            absl::OkStatus());
  EXPECT_EQ(Delete(store_.get(), IdOf(1)).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Load(store_.get(), IdOf(1)).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(AddCode({.key = key, .tokens = {10}}), absl::StatusCode::kNotFound);
  EXPECT_EQ(Loaded(2).turns.size(), 1u);
  EXPECT_EQ(Delete(store_.get(), IdOf(2)), absl::OkStatus());
}

TEST_P(StateStoreTest, ListsGoOnWhereTheyEnded) {
  absl::BlockingCounter begun(1500);
  for (int64_t number = 1; number <= 1500; ++number) {
    TurnBegin begin =
        BeginOf({.session_id = IdOf(number), .epoch = 1, .turn = 1});
    begin.session->tenant = number % 2 == 0 ? "bob" : "alice";
    store_->BeginTurn(std::move(begin), [&](absl::Status status) {
      EXPECT_EQ(status, absl::OkStatus());
      begun.DecrementCount();
    });
  }
  begun.Wait();
  ASSERT_EQ(
      EndCode(
          {.last = {.key = {.session_id = IdOf(2), .epoch = 1, .turn = 1}}}),
      absl::StatusCode::kOk);
  absl::StatusOr<std::vector<SessionSummary>> all = List(store_.get());
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->size(), static_cast<size_t>(kListedSessionsMax));
  EXPECT_EQ((*all)[0].id, IdOf(1));
  EXPECT_EQ((*all)[0].record.tenant, "alice");
  EXPECT_EQ((*all)[0].turns, 1);
  EXPECT_FALSE((*all)[0].is_over);
  EXPECT_TRUE((*all)[1].is_over);
  EXPECT_FALSE((*all)[0].is_damaged);
  all = List(store_.get(), {}, all->back().id);
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->size(), 500u);
  EXPECT_EQ(all->back().id, IdOf(1500));
  const absl::StatusOr<std::vector<SessionSummary>> bobs =
      List(store_.get(), {.tenant = "bob"});
  ASSERT_TRUE(bobs.ok()) << bobs.status();
  EXPECT_EQ(bobs->size(), 750u);
  EXPECT_EQ(bobs->front().id, IdOf(2));
}

TEST_P(StateStoreTest, OldSessionsGo) {
  // Times are stored to the minute: what was used now is older than -2 min.
  constexpr absl::Duration kAtOnce = -absl::Minutes(2);
  MakeTurn(1);
  for (int64_t number = 2; number <= 3; ++number) {
    TurnBegin begin =
        BeginOf({.session_id = IdOf(number), .epoch = 1, .turn = 1});
    begin.session->is_one_shot = true;
    ASSERT_EQ(BeginCode(begin), absl::StatusCode::kOk);
  }
  // A second turn makes a conversation of a one-shot.
  TurnBegin second = BeginOf({.session_id = IdOf(3), .epoch = 1, .turn = 2});
  second.previous =
      TurnEnd{.last = {.key = {.session_id = IdOf(3), .epoch = 1, .turn = 1}}};
  ASSERT_EQ(BeginCode(second), absl::StatusCode::kOk);

  EXPECT_EQ(*Prune(store_.get(), Retention()), 0);
  EXPECT_EQ(*Prune(store_.get(), {.one_shot_idle = kAtOnce}), 1);
  EXPECT_EQ(Load(store_.get(), IdOf(2)).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(Loaded(3).turns.size(), 2u);
  EXPECT_EQ(*Prune(store_.get(), {.idle = kAtOnce}), 2);
  EXPECT_THAT(*List(store_.get()), IsEmpty());
}

TEST_P(StateStoreTest, TheWallClockMayBeSetMeanwhile) {
  MakeTurn(1);
  {
    const SetWallClock ahead(absl::Hours(2));
    EXPECT_EQ(*Prune(store_.get(), Retention()), 0);
    MakeTurn(2);
  }
  const SetWallClock behind(-absl::Hours(2));
  EXPECT_EQ(*Prune(store_.get(), Retention()), 0);
  EXPECT_LE(Loaded(2).used_at - Loaded(1).used_at, absl::Minutes(1));
}

TEST_P(StateStoreTest, TooManySessionsGo) {
  constexpr int kSessions = 251;
  absl::BlockingCounter left(kSessions);
  for (int64_t number = 1; number <= kSessions; ++number) {
    store_->BeginTurn(
        BeginOf({.session_id = IdOf(number), .epoch = 1, .turn = 1}),
        [&left](absl::Status status) {
          EXPECT_EQ(status, absl::OkStatus());
          left.DecrementCount();
        });
  }
  left.Wait();
  EXPECT_EQ(*Prune(store_.get(), {.sessions_max = kSessions}), 0);
  EXPECT_EQ(*Prune(store_.get(), {.sessions_max = 20}), 231);
  EXPECT_EQ(List(store_.get())->size(), 20u);
}

TEST_P(StateStoreTest, WhatIsAskedOfASessionKeepsItsOrder) {
  constexpr int kSessions = 20;
  constexpr int kTokens = 50;
  absl::BlockingCounter left(kSessions * (kTokens + 2));
  const auto done = [&](absl::Status status) {
    EXPECT_EQ(status, absl::OkStatus());
    left.DecrementCount();
  };
  for (int session = 1; session <= kSessions; ++session) {
    const TurnKey key{.session_id = IdOf(session), .epoch = 1, .turn = 1};
    store_->BeginTurn(BeginOf(key), done);
    for (int token = 0; token < kTokens; ++token) {
      store_->AddTokens({.key = key, .first_token = token, .tokens = {token}},
                        done);
    }
    store_->EndTurn({.last = {.key = key, .first_token = kTokens},
                     .reason = FinishReason::kLength},
                    done);
  }
  left.Wait();
  for (int session = 1; session <= kSessions; ++session) {
    const StoredSession stored = Loaded(session);
    ASSERT_EQ(stored.turns[0].generated.size(), static_cast<size_t>(kTokens));
    EXPECT_EQ(stored.turns[0].generated.back(), kTokens - 1);
    EXPECT_EQ(stored.turns[0].end_reason, FinishReason::kLength);
  }
}

TEST_P(StateStoreTest, NothingIsLostWhereTheStoreEnds) {
  absl::BlockingCounter left(100);
  for (int64_t number = 1; number <= 100; ++number) {
    store_->BeginTurn(
        BeginOf({.session_id = IdOf(number), .epoch = 1, .turn = 1}),
        [&](absl::Status status) {
          EXPECT_EQ(status, absl::OkStatus());
          left.DecrementCount();
        });
  }
  store_.reset();
  left.Wait();
}

TEST(IsSessionIdTest, IsThirtyTwoDigits) {
  EXPECT_TRUE(IsSessionId("0123456789abcdef0123456789abcdef"));
  EXPECT_FALSE(IsSessionId("0123456789abcdef0123456789abcde"));
  EXPECT_FALSE(IsSessionId("0123456789abcdef0123456789abcdefa"));
  EXPECT_FALSE(IsSessionId("0123456789ABCDEF0123456789abcdef"));
  EXPECT_FALSE(IsSessionId(""));
}

}  // namespace
}  // namespace tandem
