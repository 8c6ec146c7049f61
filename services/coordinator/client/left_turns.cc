#include "services/coordinator/client/left_turns.h"

#include <algorithm>
#include <utility>

#include "absl/status/status.h"
#include "engine/base/check.h"

namespace tandem {

// Holds the session of one of them. Its owner destroys it in Leave.
class LeftTurns::LeftTurn : private TurnListener, private SessionHolder {
 public:
  LeftTurn(LeftTurns* all, Left left)
      : all_(all),
        session_(left.session),
        admission_(std::move(left.admission)),
        tokens_read_(left.tokens_read) {}
  ~LeftTurn() override { all_->loop_->CancelTimer(&timer_); }

  void Begin() {
    SessionTurn* const turn = session_->last();
    all_->sessions_->Hold(session_, this);
    turn->runner.SetListener(this);
    turn->journal.SetListener([this] { OnJournalChanged(); });
    timer_ = all_->loop_->SetTimer(
        all_->loop_->Now() + turn->runner.setup().go_on, [this] { Suspend(); });
    OnTurnChanged();
  }
  // The turn waits from now on; ends this.
  void Suspend() { session_->turn()->Suspend(absl::OkStatus()); }
  // The server goes: nothing is called any more.
  void Forget() {
    session_->last()->runner.SetListener(nullptr);
    session_->last()->journal.SetListener(nullptr);
  }

 private:
  bool opens_turn() const override { return false; }
  bool has_client() const override { return false; }
  void OnLost(const absl::Status& /*why*/) override { Suspend(); }

  void OnTurnChanged() override {
    TurnRunner* const runner = session_->turn();
    const int64_t generated = runner->usage().generated_tokens;
    admission_.OnTokens(generated);
    if (!runner->active()) return Leave();
    session_->last()->journal.Follow(*runner, /*rests=*/false);
    if (generated - counted_tokens_ >= kUncountedTokensMax) {
      // What was counted before has not found room, though idle sessions went.
      if (all_->memory_->IsOver()) return Suspend();
      counted_tokens_ = generated;
      all_->sessions_->Measure(session_);
    }
    tokens_read_ = std::max(tokens_read_, generated);
    runner->SetTokensRead(tokens_read_);
  }

  // Tokens that the store did not take are written again with the next ones.
  void OnJournalChanged() {
    TurnJournal* const journal = &session_->last()->journal;
    if (DiffersFromStore(journal->status())) return Suspend();
    if (journal->status().ok()) {
      journal->Follow(*session_->turn(), /*rests=*/false);
    }
  }

  void Leave() {
    const bool is_as_stored = session_->last()->LetGo();
    all_->sessions_->LetGo(session_);
    if (!is_as_stored) all_->sessions_->Remove(session_);
    all_->turns_.erase(session_);
  }

  LeftTurns* const all_;
  Session* const session_;
  TurnAdmission admission_;
  int64_t tokens_read_;
  int64_t counted_tokens_ = 0;
  EventLoop::TimerId timer_;
};

LeftTurns::LeftTurns(EventLoop* loop, SessionStore* sessions,
                     const MemoryBudget* memory)
    : loop_(loop), sessions_(sessions), memory_(memory) {}

LeftTurns::~LeftTurns() {
  for (const auto& [session, turn] : turns_) turn->Forget();
}

void LeftTurns::Add(Left left) {
  TANDEM_CHECK(left.session->turn()->active() &&
               left.session->holder() == nullptr);
  const Session* const session = left.session;
  turns_[session] = std::make_unique<LeftTurn>(this, std::move(left));
  turns_[session]->Begin();
}

void LeftTurns::Stop() {
  while (!turns_.empty()) turns_.begin()->second->Suspend();
}

}  // namespace tandem
