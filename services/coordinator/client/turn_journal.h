// Writes one turn to the store: its beginning before the client hears of it,
// its tokens behind, and its end, so that another process can go on with it.
// Without a store there is nothing to wait for. Owned by the turn's session, or
// by the client stream that opens the turn; everything belongs to the event
// loop.

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_TURN_JOURNAL_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_TURN_JOURNAL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/base/types.h"
#include "services/coordinator/store/state_store.h"
#include "services/coordinator/turn/event_loop.h"
#include "services/coordinator/turn/turn_runner.h"

namespace tandem {

// Tokens that are not stored yet are written when there are this many, or when
// the turn rests: who takes the turn over makes the rest again, in the time of
// as many passes at most.
inline constexpr int64_t kJournalTokens = 32;

// Whether what this process has of a session is not what the store has: it was
// taken over or deleted, or is damaged. All other errors may pass.
bool DiffersFromStore(const absl::Status& status);

class TurnJournal {
 public:
  // Both outlive the journal; `store` may be null. A turn that was restored has
  // `written` tokens in the store, and `is_over` there or not.
  struct Setup {
    StateStore* store = nullptr;
    EventLoop* loop = nullptr;
    TurnKey key = {};
    int64_t written = 0;
    bool is_begun = false;
    bool is_over = false;
  };
  explicit TurnJournal(Setup setup);
  ~TurnJournal();

  TurnJournal(const TurnJournal&) = delete;
  TurnJournal& operator=(const TurnJournal&) = delete;

  // Called, on the loop, when a write was answered that somebody waits for, or
  // that says that the turn is another's. May destroy the journal. May be null.
  void SetListener(std::function<void()> listener) {
    state_->listener = std::move(listener);
  }

  struct Beginning {
    absl::Span<const TokenId> prompt = {};  // of the turn alone
    bool is_one_shot = false;               // the session, where it is new
    // Of the turn before, as its UnstoredEnd says.
    std::optional<TurnEnd> previous = std::nullopt;
  };
  // Stores the turn; a session's first one with the session. Once.
  void Begin(const TurnRunner& runner, Beginning beginning);
  // Begin was called, and there is a store: it may have the turn by now, or
  // later.
  bool is_asked() const { return state_->is_asked; }
  // The client may hear of the turn.
  bool is_begun() const { return state_->is_begun; }
  // Of the turn's end, for which Follow was called: the store has it, or could
  // not take it (status()).
  bool is_end_answered() const;
  // Not OK where the beginning, or the end, could not be stored (UNAVAILABLE
  // and others), or where another coordinator has the turn now (ABORTED).
  const absl::Status& status() const { return state_->status; }

  // The turn has gone on: writes what is due. `rests`: it stops for some time,
  // or for good.
  void Follow(const TurnRunner& runner, bool rests);
  // The session was taken over: what is written from now on has this epoch.
  void SetEpoch(int64_t epoch) { setup_.key.epoch = epoch; }
  // The end of the turn, where the store has not said yet that it has it: goes
  // along with the beginning of the next turn.
  std::optional<TurnEnd> UnstoredEnd(const TurnRunner& runner) const;

 private:
  // Shared with writes that are under way, which may outlive the journal.
  struct State {
    std::function<void()> listener;
    absl::Status status;
    bool is_gone = false;
    bool is_asked = false;
    bool is_begun = false;
    bool is_over = false;  // the store has the end
    bool has_failed_end = false;
    bool is_writing = false;  // tokens
    bool is_ending = false;   // the end is being written
    int64_t written = 0;      // tokens that the store has
  };

  static void Call(State* state);
  bool has_store() const { return setup_.store != nullptr; }
  void WriteTokens(const TurnRunner& runner);
  void WriteEnd(const TurnRunner& runner);
  TurnTokens TokensFrom(const TurnRunner& runner, int64_t first) const;
  TurnEnd EndOf(const TurnRunner& runner) const;
  // `on_loop` runs on the loop, unless the journal has gone, with the status
  // that a write was answered with.
  StateStore::Committed OnLoop(
      std::function<void(State*, const absl::Status&)> on_loop) const;

  Setup setup_;
  const std::shared_ptr<State> state_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_TURN_JOURNAL_H_
