#include "services/coordinator/store/memory_state_store.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/status.h"

namespace tandem {
namespace {

// When the session was used last where that is long enough ago.
bool IsIdle(const StoredSession& session, const Retention& retention,
            absl::Time now) {
  const bool is_one_shot =
      session.record.is_one_shot && session.turns.size() <= 1;
  const absl::Duration kept =
      is_one_shot ? std::min(retention.idle, retention.one_shot_idle)
                  : retention.idle;
  return now - session.used_at > kept;
}

}  // namespace

absl::StatusOr<StoredSession*> MemoryStateStore::Driven(const TurnKey& key) {
  const auto found = sessions_.find(key.session_id);
  if (found == sessions_.end()) return NotStored();
  if (found->second.driver_epoch != key.epoch) {
    return DrivenByAnother(found->second.driver_epoch);
  }
  found->second.used_at = clock_.Now();
  return &found->second;
}

absl::StatusOr<StoredTurn*> MemoryStateStore::OpenTurn(StoredSession* session,
                                                       int64_t turn) {
  if (turn < 1 || turn > static_cast<int64_t>(session->turns.size())) {
    return TurnNotStored(turn);
  }
  StoredTurn& found = session->turns[static_cast<size_t>(turn) - 1];
  if (found.end_reason.has_value()) {
    return StoredTurnIsOver(turn);
  }
  return &found;
}

absl::Status MemoryStateStore::Append(const TurnTokens& tokens) {
  TANDEM_ASSIGN_OR_RETURN(StoredSession* const session, Driven(tokens.key));
  TANDEM_ASSIGN_OR_RETURN(StoredTurn* const turn,
                          OpenTurn(session, tokens.key.turn));
  const auto count = static_cast<int64_t>(turn->generated.size());
  TANDEM_CHECK(tokens.first_token <= count);
  if (tokens.first_token + static_cast<int64_t>(tokens.tokens.size()) < count) {
    return TurnNotStored(tokens.key.turn);
  }
  turn->generated.resize(static_cast<size_t>(tokens.first_token));
  turn->generated.insert(turn->generated.end(), tokens.tokens.begin(),
                         tokens.tokens.end());
  turn->elapsed_ms = tokens.elapsed_ms;
  return absl::OkStatus();
}

absl::Status MemoryStateStore::End(const TurnEnd& end) {
  const absl::Status appended = Append(end.last);
  if (!absl::IsFailedPrecondition(appended)) {
    TANDEM_RETURN_IF_ERROR(appended);
    StoredTurn& turn = sessions_.at(end.last.key.session_id)
                           .turns[static_cast<size_t>(end.last.key.turn) - 1];
    turn.end_reason = end.reason;
    turn.figures = end.figures;
    return absl::OkStatus();
  }
  // The same end again.
  const std::vector<StoredTurn>& turns =
      sessions_.at(end.last.key.session_id).turns;
  const auto index = static_cast<size_t>(end.last.key.turn) - 1;
  if (index < turns.size() && turns[index].end_reason == end.reason &&
      turns[index].generated.size() ==
          static_cast<size_t>(end.last.first_token) + end.last.tokens.size()) {
    return absl::OkStatus();
  }
  return appended;
}

absl::Status MemoryStateStore::Begin(TurnBegin begin) {
  absl::MutexLock lock(&mutex_);
  const TurnKey& key = begin.key;
  if (begin.session.has_value()) {
    const auto [found, is_new] = sessions_.try_emplace(key.session_id);
    if (is_new) {
      found->second.id = key.session_id;
      found->second.record = *std::move(begin.session);
      found->second.driver_epoch = key.epoch;
      found->second.created_at = clock_.Now();
    }
  }
  TANDEM_ASSIGN_OR_RETURN(StoredSession* const session, Driven(key));
  if (begin.previous.has_value()) {
    // One that has ended stays as it is.
    const absl::Status ended = End(*begin.previous);
    if (!absl::IsFailedPrecondition(ended)) TANDEM_RETURN_IF_ERROR(ended);
  }
  const auto count = static_cast<int64_t>(session->turns.size());
  TANDEM_CHECK(key.turn >= 1 && key.turn <= count + 1);
  if (key.turn <= count) {
    TANDEM_ASSIGN_OR_RETURN(const StoredTurn* const open,
                            OpenTurn(session, key.turn));
    if (open->begun_epoch == key.epoch && open->record == begin.turn) {
      return absl::OkStatus();
    }
    session->turns.resize(static_cast<size_t>(key.turn) - 1);
  }
  session->turns.push_back({.number = key.turn,
                            .begun_epoch = key.epoch,
                            .record = std::move(begin.turn)});
  return absl::OkStatus();
}

void MemoryStateStore::BeginTurn(TurnBegin begin, Committed done) {
  TANDEM_CHECK(IsSessionId(begin.key.session_id));
  done(Begin(std::move(begin)));
}

void MemoryStateStore::AddTokens(TurnTokens tokens, Committed done) {
  absl::Status status;
  {
    absl::MutexLock lock(&mutex_);
    status = Append(tokens);
  }
  done(status);
}

void MemoryStateStore::EndTurn(TurnEnd end, Committed done) {
  absl::Status status;
  {
    absl::MutexLock lock(&mutex_);
    status = End(end);
  }
  done(status);
}

void MemoryStateStore::TakeOver(std::string session_id, std::string tenant,
                                Answer<StoredSession> done) {
  absl::StatusOr<StoredSession> session = NotStored();
  {
    absl::MutexLock lock(&mutex_);
    const auto found = sessions_.find(session_id);
    if (found != sessions_.end() && found->second.record.tenant == tenant) {
      ++found->second.driver_epoch;
      found->second.used_at = clock_.Now();
      session = found->second;
    }
  }
  done(std::move(session));
}

void MemoryStateStore::FindLost(std::vector<HeldSession> held,
                                Answer<std::vector<std::string>> done) {
  std::vector<std::string> lost;
  {
    absl::MutexLock lock(&mutex_);
    for (HeldSession& session : held) {
      const auto found = sessions_.find(session.session_id);
      if (found == sessions_.end() ||
          found->second.driver_epoch != session.epoch) {
        lost.push_back(std::move(session.session_id));
      }
    }
  }
  done(std::move(lost));
}

void MemoryStateStore::Load(std::string session_id,
                            Answer<StoredSession> done) {
  absl::StatusOr<StoredSession> session = NotStored();
  {
    absl::MutexLock lock(&mutex_);
    const auto found = sessions_.find(session_id);
    if (found != sessions_.end()) session = found->second;
  }
  done(std::move(session));
}

void MemoryStateStore::List(SessionsOf which, std::string after,
                            Answer<std::vector<SessionSummary>> done) {
  std::vector<SessionSummary> summaries;
  {
    absl::MutexLock lock(&mutex_);
    for (auto next = sessions_.upper_bound(after);
         next != sessions_.end() &&
         static_cast<int64_t>(summaries.size()) < kListedSessionsMax;
         ++next) {
      if (!which.tenant.has_value() ||
          next->second.record.tenant == *which.tenant) {
        summaries.push_back(SummaryOf(next->second));
      }
    }
  }
  done(std::move(summaries));
}

void MemoryStateStore::Delete(SessionsOf which, std::string session_id,
                              Committed done) {
  absl::Status status = NotStored();
  {
    absl::MutexLock lock(&mutex_);
    const auto found = sessions_.find(session_id);
    if (found != sessions_.end() &&
        (!which.tenant.has_value() ||
         found->second.record.tenant == *which.tenant)) {
      sessions_.erase(found);
      status = absl::OkStatus();
    }
  }
  done(status);
}

void MemoryStateStore::Prune(Retention retention, Answer<int64_t> done) {
  int64_t deleted = 0;
  {
    const absl::Time now = clock_.Now();
    absl::MutexLock lock(&mutex_);
    deleted =
        static_cast<int64_t>(std::erase_if(sessions_, [&](const auto& entry) {
          return IsIdle(entry.second, retention, now);
        }));
    const int64_t excess =
        retention.sessions_max == 0
            ? 0
            : static_cast<int64_t>(sessions_.size()) - retention.sessions_max;
    if (excess > 0) {
      std::vector<std::pair<absl::Time, std::string>> by_age;
      for (const auto& [id, session] : sessions_) {
        by_age.emplace_back(session.used_at, id);
      }
      std::sort(by_age.begin(), by_age.end());
      for (int64_t i = 0; i < excess; ++i) {
        sessions_.erase(by_age[static_cast<size_t>(i)].second);
      }
      deleted += excess;
    }
  }
  done(deleted);
}

}  // namespace tandem
