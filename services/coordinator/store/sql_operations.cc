#include "services/coordinator/store/sql_operations.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/check.h"
#include "services/coordinator/store/sql_schema.h"
#include "services/coordinator/store/stored_rows.h"

namespace tandem {
namespace {

// Sessions that one transaction of Prune deletes, so that turns which begin
// meanwhile wait for some milliseconds.
constexpr int64_t kPrunedAtOnce = 100;
// How often a session that others take over too is tried again: of N that take
// it over at once, the last one needs N tries.
constexpr int kTakeOversMax = 32;

// A write of one turn. Its last statement changes one row; where that changed
// none, another look at the session says why.
class TurnWrite : public SqlOperation {
 public:
  TurnWrite(const TurnKey& key, absl::Time now, StateStore::Committed done)
      : SqlOperation(key.session_id),
        key_(key),
        used_at_(UsedAt(now)),
        done_(std::move(done)) {}

  std::vector<SqlCall> Calls() const final {
    if (!is_explaining_) return Writes();
    return {{.statement = &kSelectDriver, .values = {session_id()}},
            {.statement = &kSelectEnds, .values = {session_id()}}};
  }

  bool OnCommitted(absl::Span<const SqlResult> results) final {
    if (is_explaining_) {
      done_(Explain(results[0], results[1]));
      return true;
    }
    if (results.back().changed == 0) {
      is_explaining_ = true;
      return false;
    }
    done_(absl::OkStatus());
    return true;
  }

  void OnFailed(const absl::Status& status) final { done_(status); }

 protected:
  virtual std::vector<SqlCall> Writes() const = 0;
  // Whether this row of kSelectEnds is what the write was to make.
  virtual bool IsDoneBy(absl::Span<const SqlValue> /*end*/) const {
    return false;
  }

  DriverRow driver() const {
    return {.session_id = key_.session_id,
            .epoch = key_.epoch,
            .turns = key_.turn,
            .used_at = used_at_};
  }

 private:
  absl::Status Explain(const SqlResult& drivers, const SqlResult& ends) const {
    TANDEM_ASSIGN_OR_RETURN(const DriverRow row, DriverOfRows(drivers));
    if (row.epoch != key_.epoch) return DrivenByAnother(row.epoch);
    for (const std::vector<SqlValue>& end : ends.rows) {
      if (std::get<int64_t>(end[1]) != key_.turn) continue;
      if (IsDoneBy(end)) return absl::OkStatus();
      return StoredTurnIsOver(key_.turn);
    }
    return TurnNotStored(key_.turn);
  }

  const TurnKey key_;
  const int64_t used_at_;
  StateStore::Committed done_;
  bool is_explaining_ = false;
};

class BeginTurnOperation final : public TurnWrite {
 public:
  BeginTurnOperation(TurnBegin begin, absl::Time now,
                     StateStore::Committed done)
      : TurnWrite(begin.key, now, std::move(done)),
        begin_(std::move(begin)),
        created_at_(absl::ToUnixSeconds(now)) {}

 private:
  std::vector<SqlCall> Writes() const override {
    std::vector<SqlCall> calls;
    if (begin_.session.has_value()) {
      calls.push_back(
          InsertSessionCall(session_id(), *begin_.session, created_at_));
      calls.push_back(InsertDriverCall(driver()));
    } else {
      calls.push_back(TouchDriverCall(driver()));
    }
    if (begin_.previous.has_value()) {
      calls.push_back(PutTokensCall(begin_.previous->last));
      calls.push_back(PutEndCall(*begin_.previous));
    }
    SqlCall put = PutTurnCall(begin_.key, begin_.turn);
    calls.push_back(DropTokensCall(begin_.key, put));
    calls.push_back(std::move(put));
    return calls;
  }

  const TurnBegin begin_;
  const int64_t created_at_;
};

class AddTokensOperation final : public TurnWrite {
 public:
  AddTokensOperation(TurnTokens tokens, absl::Time now,
                     StateStore::Committed done)
      : TurnWrite(tokens.key, now, std::move(done)),
        tokens_(std::move(tokens)) {}

 private:
  std::vector<SqlCall> Writes() const override {
    return {TouchDriverCall(driver()), PutTokensCall(tokens_)};
  }

  const TurnTokens tokens_;
};

class EndTurnOperation final : public TurnWrite {
 public:
  EndTurnOperation(TurnEnd end, absl::Time now, StateStore::Committed done)
      : TurnWrite(end.last.key, now, std::move(done)), end_(std::move(end)) {}

 private:
  std::vector<SqlCall> Writes() const override {
    return {TouchDriverCall(driver()), PutTokensCall(end_.last),
            PutEndCall(end_)};
  }
  bool IsDoneBy(absl::Span<const SqlValue> end) const override {
    return IsSameEnd(end, end_);
  }

  const TurnEnd end_;
};

// The session's rows, in an order in which what others write meanwhile does no
// harm: an end is there only with its tokens, these only with their turn.
void AddSelects(const std::string& session_id, std::vector<SqlCall>* calls) {
  for (const SqlStatement* const statement :
       {&kSelectDriver, &kSelectEnds, &kSelectTokens, &kSelectTurns,
        &kSelectSession}) {
    calls->push_back({.statement = statement, .values = {session_id}});
  }
}
constexpr size_t kSelects = 5;

absl::StatusOr<StoredSession> SessionOfSelects(
    absl::Span<const SqlResult> results) {
  TANDEM_CHECK(results.size() == kSelects);
  return SessionOfRows({.session = results[4],
                        .driver = results[0],
                        .turns = results[3],
                        .tokens = results[2],
                        .ends = results[1]});
}

class TakeOverOperation final : public SqlOperation {
 public:
  TakeOverOperation(std::string session_id, std::string tenant, absl::Time now,
                    StateStore::Answer<StoredSession> done)
      : SqlOperation(std::move(session_id)),
        tenant_(std::move(tenant)),
        used_at_(UsedAt(now)),
        done_(std::move(done)) {}

  std::vector<SqlCall> Calls() const override {
    if (!row_.has_value()) {
      return {{.statement = &kSelectDriver, .values = {session_id()}},
              {.statement = &kSelectSession, .values = {session_id()}}};
    }
    std::vector<SqlCall> calls = {RaiseEpochCall(*row_, used_at_)};
    AddSelects(session_id(), &calls);
    return calls;
  }

  bool OnCommitted(absl::Span<const SqlResult> results) override {
    if (!row_.has_value()) return OnRead(results);
    if (results[0].changed == 0) {
      if (++tries_ < kTakeOversMax) return Raise(DriverOfRows(results[1]));
      done_(absl::AbortedError("others take the session over all the time"));
      return true;
    }
    done_(SessionOfSelects(results.subspan(1)));
    return true;
  }

  void OnFailed(const absl::Status& status) override { done_(status); }

 private:
  bool OnRead(absl::Span<const SqlResult> results) {
    const std::vector<std::vector<SqlValue>>& sessions = results[1].rows;
    if (sessions.empty() || std::get<std::string>(sessions[0][1]) != tenant_) {
      return Raise(NotStored());
    }
    return Raise(DriverOfRows(results[0]));
  }

  // The epoch to raise is that of `row`. True: there is none, and it is over.
  bool Raise(absl::StatusOr<DriverRow> row) {
    if (!row.ok()) {
      done_(row.status());
      return true;
    }
    row_ = *std::move(row);
    return false;
  }

  const std::string tenant_;
  const int64_t used_at_;
  StateStore::Answer<StoredSession> done_;
  std::optional<DriverRow> row_;  // as read
  int tries_ = 0;
};

class FindLostOperation final : public SqlOperation {
 public:
  FindLostOperation(const SqlStatement* select, std::vector<HeldSession> held,
                    StateStore::Answer<std::vector<std::string>> done)
      : SqlOperation(""),
        select_(select),
        held_(std::move(held)),
        done_(std::move(done)) {}

  std::vector<SqlCall> Calls() const override {
    const auto append = [](std::string* out, const HeldSession& session) {
      TANDEM_CHECK(IsSessionId(session.session_id));
      absl::StrAppend(out, "\"", session.session_id, "\"");
    };
    return {{.statement = select_,
             .values = {
                 absl::StrCat("[", absl::StrJoin(held_, ",", append), "]")}}};
  }

  bool OnCommitted(absl::Span<const SqlResult> results) override {
    absl::flat_hash_map<std::string, int64_t> epochs;
    for (const std::vector<SqlValue>& row : results[0].rows) {
      epochs[std::get<std::string>(row[0])] = std::get<int64_t>(row[1]);
    }
    std::vector<std::string> lost;
    for (const HeldSession& session : held_) {
      const auto found = epochs.find(session.session_id);
      if (found == epochs.end() || found->second != session.epoch) {
        lost.push_back(session.session_id);
      }
    }
    done_(std::move(lost));
    return true;
  }

  void OnFailed(const absl::Status& status) override { done_(status); }

 private:
  const SqlStatement* const select_;
  const std::vector<HeldSession> held_;
  StateStore::Answer<std::vector<std::string>> done_;
};

class LoadOperation final : public SqlOperation {
 public:
  LoadOperation(std::string session_id, StateStore::Answer<StoredSession> done)
      : SqlOperation(std::move(session_id)), done_(std::move(done)) {}

  std::vector<SqlCall> Calls() const override {
    std::vector<SqlCall> calls;
    AddSelects(session_id(), &calls);
    return calls;
  }
  bool OnCommitted(absl::Span<const SqlResult> results) override {
    done_(SessionOfSelects(results));
    return true;
  }
  void OnFailed(const absl::Status& status) override { done_(status); }

 private:
  StateStore::Answer<StoredSession> done_;
};

class ListOperation final : public SqlOperation {
 public:
  ListOperation(SessionsOf which, std::string after,
                StateStore::Answer<std::vector<SessionSummary>> done)
      : SqlOperation(""),
        which_(std::move(which)),
        after_(std::move(after)),
        done_(std::move(done)) {}

  std::vector<SqlCall> Calls() const override {
    return {{.statement = &kListSessions,
             .values = {after_, int64_t{!which_.tenant.has_value()},
                        which_.tenant.value_or(""), kListedSessionsMax}}};
  }
  bool OnCommitted(absl::Span<const SqlResult> results) override {
    done_(SummariesOfRows(results[0]));
    return true;
  }
  void OnFailed(const absl::Status& status) override { done_(status); }

 private:
  const SessionsOf which_;
  const std::string after_;
  StateStore::Answer<std::vector<SessionSummary>> done_;
};

// What else a session has, after its driver's row.
void AddDeletes(const std::string& session_id, std::vector<SqlCall>* calls) {
  for (const SqlStatement* const statement :
       {&kDeleteSession, &kDeleteTurns, &kDeleteTokens, &kDeleteEnds}) {
    calls->push_back({.statement = statement, .values = {session_id}});
  }
}
constexpr size_t kDeletes = 5;  // with that of the driver

class DeleteOperation final : public SqlOperation {
 public:
  DeleteOperation(SessionsOf which, std::string session_id,
                  StateStore::Committed done)
      : SqlOperation(std::move(session_id)),
        which_(std::move(which)),
        done_(std::move(done)) {}

  std::vector<SqlCall> Calls() const override {
    std::vector<SqlCall> calls = {
        {.statement = &kDeleteDriver,
         .values = {session_id(), int64_t{!which_.tenant.has_value()},
                    which_.tenant.value_or("")}}};
    AddDeletes(session_id(), &calls);
    return calls;
  }
  bool OnCommitted(absl::Span<const SqlResult> results) override {
    done_(results[0].changed > 0 ? absl::OkStatus() : NotStored());
    return true;
  }
  void OnFailed(const absl::Status& status) override { done_(status); }

 private:
  const SessionsOf which_;
  StateStore::Committed done_;
};

// Goes on in steps: asks which sessions may go, deletes some of them, asks
// again.
class PruneOperation final : public SqlOperation {
 public:
  PruneOperation(const Retention& retention, absl::Time now,
                 StateStore::Answer<int64_t> done)
      : SqlOperation(""),
        idle_before_(UsedAt(now - retention.idle)),
        one_shot_before_(
            UsedAt(now - std::min(retention.idle, retention.one_shot_idle))),
        sessions_max_(retention.sessions_max),
        done_(std::move(done)) {}

  std::vector<SqlCall> Calls() const override {
    std::vector<SqlCall> calls;
    if (!going_.empty()) {
      for (const auto& [session_id, used_at] : going_) {
        calls.push_back(
            {.statement = &kDeleteIdleDriver, .values = {session_id, used_at}});
        AddDeletes(session_id, &calls);
      }
    } else {
      calls.push_back({.statement = &kSelectIdle,
                       .values = {idle_before_, one_shot_before_,
                                  std::max(idle_before_, one_shot_before_),
                                  kPrunedAtOnce}});
      calls.push_back({.statement = &kCountSessions});
      if (sessions_max_ > 0) {
        calls.push_back(
            {.statement = &kSelectOldest, .values = {kPrunedAtOnce}});
      }
    }
    return calls;
  }

  bool OnCommitted(absl::Span<const SqlResult> results) override {
    if (!going_.empty()) {
      int64_t gone = 0;
      for (size_t i = 0; i < going_.size(); ++i) {
        gone += results[i * kDeletes].changed;
      }
      deleted_ += gone;
      going_.clear();
      // Those that were left were used meanwhile: the next Prune sees them.
      if (gone > 0) return false;
    } else {
      Choose(results);
      if (!going_.empty()) return false;
    }
    done_(deleted_);
    return true;
  }

  void OnFailed(const absl::Status& status) override { done_(status); }

 private:
  using Going = std::vector<std::pair<std::string, int64_t>>;

  void Choose(absl::Span<const SqlResult> results) {
    going_ = GoingOf(results[0]);
    if (!going_.empty() || sessions_max_ == 0) return;
    const int64_t count = std::get<int64_t>(results[1].rows[0][0]);
    going_ = GoingOf(results[2]);
    going_.resize(static_cast<size_t>(std::clamp<int64_t>(
        count - sessions_max_, 0, static_cast<int64_t>(going_.size()))));
  }
  static Going GoingOf(const SqlResult& result) {
    Going going;
    for (const std::vector<SqlValue>& row : result.rows) {
      going.emplace_back(std::get<std::string>(row[0]),
                         std::get<int64_t>(row[1]));
    }
    // One order of locks in all transactions.
    std::sort(going.begin(), going.end());
    return going;
  }

  const int64_t idle_before_;
  const int64_t one_shot_before_;
  const int64_t sessions_max_;
  StateStore::Answer<int64_t> done_;
  Going going_;
  int64_t deleted_ = 0;
};

}  // namespace

int64_t UsedAt(absl::Time now) {
  constexpr int64_t kSecondsPerMinute = 60;
  return absl::ToUnixSeconds(now) / kSecondsPerMinute * kSecondsPerMinute;
}

std::unique_ptr<SqlOperation> MakeBeginTurn(TurnBegin begin, absl::Time now,
                                            StateStore::Committed done) {
  return std::make_unique<BeginTurnOperation>(std::move(begin), now,
                                              std::move(done));
}

std::unique_ptr<SqlOperation> MakeAddTokens(TurnTokens tokens, absl::Time now,
                                            StateStore::Committed done) {
  return std::make_unique<AddTokensOperation>(std::move(tokens), now,
                                              std::move(done));
}

std::unique_ptr<SqlOperation> MakeEndTurn(TurnEnd end, absl::Time now,
                                          StateStore::Committed done) {
  return std::make_unique<EndTurnOperation>(std::move(end), now,
                                            std::move(done));
}

std::unique_ptr<SqlOperation> MakeTakeOver(
    std::string session_id, std::string tenant, absl::Time now,
    StateStore::Answer<StoredSession> done) {
  return std::make_unique<TakeOverOperation>(
      std::move(session_id), std::move(tenant), now, std::move(done));
}

std::unique_ptr<SqlOperation> MakeFindLost(
    const SqlStatement* select, std::vector<HeldSession> held,
    StateStore::Answer<std::vector<std::string>> done) {
  return std::make_unique<FindLostOperation>(select, std::move(held),
                                             std::move(done));
}

std::unique_ptr<SqlOperation> MakeLoad(std::string session_id,
                                       StateStore::Answer<StoredSession> done) {
  return std::make_unique<LoadOperation>(std::move(session_id),
                                         std::move(done));
}

std::unique_ptr<SqlOperation> MakeList(
    SessionsOf which, std::string after,
    StateStore::Answer<std::vector<SessionSummary>> done) {
  return std::make_unique<ListOperation>(std::move(which), std::move(after),
                                         std::move(done));
}

std::unique_ptr<SqlOperation> MakeDelete(SessionsOf which,
                                         std::string session_id,
                                         StateStore::Committed done) {
  return std::make_unique<DeleteOperation>(
      std::move(which), std::move(session_id), std::move(done));
}

std::unique_ptr<SqlOperation> MakePrune(Retention retention, absl::Time now,
                                        StateStore::Answer<int64_t> done) {
  return std::make_unique<PruneOperation>(retention, now, std::move(done));
}

}  // namespace tandem
