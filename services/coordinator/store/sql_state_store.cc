#include "services/coordinator/store/sql_state_store.h"

#include <utility>

#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "engine/base/check.h"

namespace tandem {
namespace {

size_t BytesOf(const TurnTokens& tokens) {
  return tokens.tokens.size() * sizeof(TokenId);
}

size_t BytesOf(const TurnEnd& end) {
  return BytesOf(end.last) + end.figures.size();
}

size_t BytesOf(const TurnBegin& begin) {
  return begin.turn.prompt.size() * sizeof(TokenId) + begin.turn.setup.size() +
         (begin.previous.has_value() ? BytesOf(*begin.previous) : 0);
}

}  // namespace

SqlStateStore::SqlStateStore(
    std::vector<std::unique_ptr<SqlConnection>> connections,
    const StoreLimits& limits)
    : select_epochs_(connections.at(0)->dialect().select_epochs) {
  threads_.reserve(connections.size());
  for (std::unique_ptr<SqlConnection>& connection : connections) {
    threads_.push_back(
        std::make_unique<CommitThread>(std::move(connection), limits));
  }
}

void SqlStateStore::Post(std::unique_ptr<SqlOperation> operation,
                         CommitTime time, size_t bytes) {
  const size_t thread =
      absl::Hash<absl::string_view>()(operation->session_id()) %
      threads_.size();
  threads_[thread]->Post(std::move(operation), time, bytes);
}

void SqlStateStore::BeginTurn(TurnBegin begin, Committed done) {
  TANDEM_CHECK(IsSessionId(begin.key.session_id));
  const size_t bytes = BytesOf(begin);
  Post(MakeBeginTurn(std::move(begin), clock_.Now(), std::move(done)),
       CommitTime::kNow, bytes);
}

void SqlStateStore::AddTokens(TurnTokens tokens, Committed done) {
  const size_t bytes = BytesOf(tokens);
  Post(MakeAddTokens(std::move(tokens), clock_.Now(), std::move(done)),
       CommitTime::kSoon, bytes);
}

void SqlStateStore::EndTurn(TurnEnd end, Committed done) {
  const size_t bytes = BytesOf(end);
  Post(MakeEndTurn(std::move(end), clock_.Now(), std::move(done)),
       CommitTime::kNow, bytes);
}

void SqlStateStore::TakeOver(std::string session_id, std::string tenant,
                             Answer<StoredSession> done) {
  if (!IsSessionId(session_id)) return done(NotStored());
  Post(MakeTakeOver(std::move(session_id), std::move(tenant), clock_.Now(),
                    std::move(done)),
       CommitTime::kNow, 0);
}

void SqlStateStore::FindLost(std::vector<HeldSession> held,
                             Answer<std::vector<std::string>> done) {
  const size_t bytes = held.size() * sizeof(HeldSession);
  Post(MakeFindLost(&select_epochs_, std::move(held), std::move(done)),
       CommitTime::kNow, bytes);
}

void SqlStateStore::Load(std::string session_id, Answer<StoredSession> done) {
  if (!IsSessionId(session_id)) return done(NotStored());
  Post(MakeLoad(std::move(session_id), std::move(done)), CommitTime::kNow, 0);
}

void SqlStateStore::List(SessionsOf which, std::string after,
                         Answer<std::vector<SessionSummary>> done) {
  Post(MakeList(std::move(which), std::move(after), std::move(done)),
       CommitTime::kNow, 0);
}

void SqlStateStore::Delete(SessionsOf which, std::string session_id,
                           Committed done) {
  if (!IsSessionId(session_id)) return done(NotStored());
  Post(MakeDelete(std::move(which), std::move(session_id), std::move(done)),
       CommitTime::kNow, 0);
}

void SqlStateStore::Prune(Retention retention, Answer<int64_t> done) {
  Post(MakePrune(retention, clock_.Now(), std::move(done)), CommitTime::kNow,
       0);
}

}  // namespace tandem
