// The store in memory with faults and delays that the test decides. Owned by
// the test; one thread.

#ifndef TANDEM_TESTS_SERVICES_COORDINATOR_FAULTY_STORE_H_
#define TANDEM_TESTS_SERVICES_COORDINATOR_FAULTY_STORE_H_

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "services/coordinator/store/memory_state_store.h"

namespace tandem {

enum class StoreCall { kBegin, kTokens, kEnd, kTakeOver, kFindLost, kDelete };

class FaultyStore : public StateStore {
 public:
  // What becomes of a call of a kind: calls number `first` to `last`, from 1,
  // get `status`.
  struct Fault {
    int first = 1;
    int last = 1;
    absl::Status status = absl::UnavailableError("the store is away");
    bool happens = false;  // the write is made, and its answer lost
  };

  void Fail(StoreCall call, const Fault& fault) { faults_[call] = fault; }
  void Mend() { faults_.clear(); }
  int calls(StoreCall call) { return calls_[call]; }
  // Answers wait for Release: those to calls of one kind, or all.
  void Hold(std::optional<StoreCall> only = std::nullopt) {
    holds_ = true;
    held_only_ = only;
  }
  void Release() {
    holds_ = false;
    while (!held_.empty()) {
      const std::function<void()> answer = std::move(held_.front());
      held_.pop_front();
      answer();
    }
  }
  // The newest answer that waits; the others wait on.
  void ReleaseLast() {
    const std::function<void()> answer = std::move(held_.back());
    held_.pop_back();
    answer();
  }
  MemoryStateStore* inner() { return &inner_; }
  // What is stored of the session; without turns where there is none.
  StoredSession Stored(const std::string& session_id);
  int64_t sessions();

  void BeginTurn(TurnBegin begin, Committed done) override;
  void AddTokens(TurnTokens tokens, Committed done) override;
  void EndTurn(TurnEnd end, Committed done) override;
  void TakeOver(std::string session_id, std::string tenant,
                Answer<StoredSession> done) override;
  void FindLost(std::vector<HeldSession> held,
                Answer<std::vector<std::string>> done) override;
  void Load(std::string session_id, Answer<StoredSession> done) override;
  void List(SessionsOf which, std::string after,
            Answer<std::vector<SessionSummary>> done) override;
  void Delete(SessionsOf which, std::string session_id,
              Committed done) override;
  void Prune(Retention retention, Answer<int64_t> done) override;

 private:
  // The call's fault; null: none.
  const Fault* Count(StoreCall call);
  // Makes the call, or not, and answers `done`, or holds the answer.
  void Run(StoreCall call, Committed done,
           const std::function<void(Committed)>& write);
  template <typename Value>
  void Ask(StoreCall call, Answer<Value> done,
           const std::function<void(Answer<Value>)>& ask);
  void Deliver(StoreCall call, std::function<void()> answer);

  MemoryStateStore inner_;
  std::map<StoreCall, Fault> faults_;
  std::map<StoreCall, int> calls_;
  bool holds_ = false;
  std::optional<StoreCall> held_only_;
  std::deque<std::function<void()>> held_;
};

}  // namespace tandem

#endif  // TANDEM_TESTS_SERVICES_COORDINATOR_FAULTY_STORE_H_
