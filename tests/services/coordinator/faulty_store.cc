#include "tests/services/coordinator/faulty_store.h"

#include <memory>

namespace tandem {

const FaultyStore::Fault* FaultyStore::Count(StoreCall call) {
  const int number = ++calls_[call];
  const auto fault = faults_.find(call);
  return fault != faults_.end() && number >= fault->second.first &&
                 number <= fault->second.last
             ? &fault->second
             : nullptr;
}

void FaultyStore::Deliver(StoreCall call, std::function<void()> answer) {
  if (!holds_ || held_only_.value_or(call) != call) return answer();
  held_.push_back(std::move(answer));
}

void FaultyStore::Run(StoreCall call, Committed done,
                      const std::function<void(Committed)>& write) {
  const Fault* const fault = Count(call);
  absl::Status status;
  if (fault == nullptr || fault->happens) {
    write([&status](absl::Status written) { status = std::move(written); });
  }
  if (fault != nullptr) status = fault->status;
  Deliver(call, [done = std::make_shared<Committed>(std::move(done)), status] {
    (*done)(status);
  });
}

template <typename Value>
void FaultyStore::Ask(StoreCall call, Answer<Value> done,
                      const std::function<void(Answer<Value>)>& ask) {
  const Fault* const fault = Count(call);
  absl::StatusOr<Value> answer = absl::UnknownError("");
  if (fault == nullptr || fault->happens) {
    ask([&answer](absl::StatusOr<Value> asked) { answer = std::move(asked); });
  }
  if (fault != nullptr) answer = fault->status;
  Deliver(call, [done = std::make_shared<Answer<Value>>(std::move(done)),
                 answer] { (*done)(answer); });
}

void FaultyStore::BeginTurn(TurnBegin begin, Committed done) {
  Run(StoreCall::kBegin, std::move(done), [&](Committed written) {
    inner_.BeginTurn(std::move(begin), std::move(written));
  });
}

void FaultyStore::AddTokens(TurnTokens tokens, Committed done) {
  Run(StoreCall::kTokens, std::move(done), [&](Committed written) {
    inner_.AddTokens(std::move(tokens), std::move(written));
  });
}

void FaultyStore::EndTurn(TurnEnd end, Committed done) {
  Run(StoreCall::kEnd, std::move(done), [&](Committed written) {
    inner_.EndTurn(std::move(end), std::move(written));
  });
}

void FaultyStore::TakeOver(std::string session_id, std::string tenant,
                           Answer<StoredSession> done) {
  Ask<StoredSession>(StoreCall::kTakeOver, std::move(done),
                     [&](Answer<StoredSession> asked) {
                       inner_.TakeOver(session_id, tenant, std::move(asked));
                     });
}

void FaultyStore::FindLost(std::vector<HeldSession> held,
                           Answer<std::vector<std::string>> done) {
  Ask<std::vector<std::string>>(StoreCall::kFindLost, std::move(done),
                                [&](Answer<std::vector<std::string>> asked) {
                                  inner_.FindLost(std::move(held),
                                                  std::move(asked));
                                });
}

void FaultyStore::Load(std::string session_id, Answer<StoredSession> done) {
  inner_.Load(std::move(session_id), std::move(done));
}

void FaultyStore::List(SessionsOf which, std::string after,
                       Answer<std::vector<SessionSummary>> done) {
  inner_.List(std::move(which), std::move(after), std::move(done));
}

void FaultyStore::Delete(SessionsOf which, std::string session_id,
                         Committed done) {
  Run(StoreCall::kDelete, std::move(done), [&](Committed written) {
    inner_.Delete(which, session_id, std::move(written));
  });
}

void FaultyStore::Prune(Retention retention, Answer<int64_t> done) {
  inner_.Prune(retention, std::move(done));
}

StoredSession FaultyStore::Stored(const std::string& session_id) {
  StoredSession stored;
  inner_.Load(session_id, [&stored](absl::StatusOr<StoredSession> loaded) {
    if (loaded.ok()) stored = *std::move(loaded);
  });
  return stored;
}

int64_t FaultyStore::sessions() {
  int64_t count = 0;
  inner_.List({}, "",
              [&count](absl::StatusOr<std::vector<SessionSummary>> listed) {
                count = static_cast<int64_t>(listed->size());
              });
  return count;
}

}  // namespace tandem
