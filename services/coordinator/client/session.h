// What is kept of a client's conversation with one model between its turns: the
// last taken turn, which a client may resume. Owned by the session store;
// everything belongs to the event loop.
//
// The session's history is the tokens of its last taken turn (which begin with
// all tokens before it), so it is held once.

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_SESSION_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_SESSION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/types/span.h"
#include "engine/base/status.h"
#include "engine/base/types.h"
#include "services/coordinator/client/turn_journal.h"
#include "services/coordinator/turn/event_loop.h"
#include "services/coordinator/turn/turn_runner.h"
#include "tandem/v1/generation.pb.h"

namespace tandem {

// Who has a turn of the session under way: the client's stream, or what lets
// the turn go on without one.
class SessionHolder {
 public:
  virtual ~SessionHolder() = default;
  // True while it opens a new turn that its client does not know of yet.
  virtual bool opens_turn() const = 0;
  // False where the turn goes on without a client: what comes next for the
  // session, a resume or a start, takes it over.
  virtual bool has_client() const { return true; }
  // The session is not this one's any more: another stream resumes the turn, or
  // the session was set aside and goes. Lets it go before it returns. `why` is
  // for the client.
  virtual void OnLost(const absl::Status& why) = 0;
};

// What a session is for, as far as the server can see: a one-shot's client may
// resume its turn, or may never come again.
enum class SessionUse { kOneShot, kConversation };

// A turn, and what writes it to the store.
struct SessionTurn {
  TurnRunner runner;
  TurnJournal journal;
  // Of a turn that had ended when it was loaded: its end, as its client heard
  // of it, without text. The runner may make the turn's tokens again until
  // then.
  std::optional<v1::TurnEnded> loaded_end = {};

  // Nobody follows the turn any more: what is due is written. False where the
  // session is not as the store has it.
  bool LetGo();
};

class Session {
 public:
  Session(std::string id, std::string tenant, SessionUse use, MonotonicTime now)
      : id_(std::move(id)),
        tenant_(std::move(tenant)),
        use_(use),
        idle_since_(now) {}

  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  const std::string& id() const { return id_; }
  const std::string& tenant() const { return tenant_; }
  SessionUse use() const { return use_; }
  // A second turn was asked for.
  void SetConversation() { use_ = SessionUse::kConversation; }

  // Under which this process drives the session, where there is a store.
  int64_t epoch() const { return epoch_; }
  // A turn was begun in the store and dropped before its client heard of it. A
  // server that was slow may still write it, so the session is taken over,
  // which makes that void, before a turn of the same number begins.
  void SetBegunInVain() { is_begun_in_vain_ = true; }
  bool is_begun_in_vain() const { return is_begun_in_vain_; }
  // This process has raised the epoch, and nobody else had.
  void SetEpoch(int64_t epoch);

  // Makes `turn` the last taken one; the client is about to know of it.
  void Take(std::unique_ptr<SessionTurn> turn);
  // In place of all turns up to number `number`, as the store has them: `turn`
  // is the last one.
  void Restore(int64_t epoch, int64_t number,
               std::unique_ptr<SessionTurn> turn);
  // The last taken turn; null before the first.
  SessionTurn* last() const { return turn_.get(); }
  TurnRunner* turn() const {
    return turn_ == nullptr ? nullptr : &turn_->runner;
  }
  // Number of the last taken turn; 0: none yet.
  int64_t turns() const { return turns_; }
  // The store has one more turn, which no client seemed to have heard of when
  // the session was loaded for the next one: Take puts that in its place.
  bool has_unheard_turn() const { return has_unheard_turn_; }
  void LeaveOutUnheardTurn() { has_unheard_turn_ = true; }

  // Of the last taken turn; nothing before the first. All tokens so far:
  absl::Span<const TokenId> History() const;
  std::optional<TokenId> LastToken() const;
  TurnModel model() const;

  // About what it takes of memory.
  int64_t bytes() const;

  // A turn is under way for `holder` from Hold to LetGo, which the store calls.
  SessionHolder* holder() const { return holder_; }
  void Hold(SessionHolder* holder) { holder_ = holder; }
  void LetGo(MonotonicTime now);
  // The holder's client does not read.
  void SetAside(MonotonicTime now) { idle_since_ = now; }
  MonotonicTime idle_since() const { return idle_since_; }

 private:
  const std::string id_;
  const std::string tenant_;
  SessionUse use_;
  int64_t epoch_ = kFirstDriverEpoch;
  bool is_begun_in_vain_ = false;
  int64_t turns_ = 0;
  bool has_unheard_turn_ = false;
  std::unique_ptr<SessionTurn> turn_;
  SessionHolder* holder_ = nullptr;
  MonotonicTime idle_since_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_SESSION_H_
