// Where sessions and turns outlive the process: what a turn's text is a
// function of, stored before its first token leaves. Owned by the server; any
// thread may call.
//
// No call waits for the disk or the network: a store with a database works on
// threads of its own. `done` is called once, on such a thread (by a store in
// memory: before the call returns), with no lock held; it hands over to its own
// thread and never works there. What was asked of one session happens in the
// order of the calls. The destructor returns when all `done` were called.
//
// Who drives a session is its driver epoch, which TakeOver raises: every write
// names the epoch under which its caller drives, and changes nothing where the
// store has another. A write may be sent again: the same one counts once. Who
// had UNAVAILABLE for a turn's begin takes the session over before another
// begin: the first one may still be under way.
//
// Statuses of all calls:
//   UNAVAILABLE        the database was away, or its disk full, for as long as
//                      a call waits (StoreLimits); a write may have happened
//   RESOURCE_EXHAUSTED too much waits already; nothing happened
//   DATA_LOSS          what is stored is damaged; the message names the row
// and of those that name a session:
//   NOT_FOUND          it is not there, or not the tenant's
//   ABORTED            another driver has taken it over
//   FAILED_PRECONDITION the turn is not there, or is over already

#ifndef TANDEM_SERVICES_COORDINATOR_STORE_STATE_STORE_H_
#define TANDEM_SERVICES_COORDINATOR_STORE_STATE_STORE_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "engine/base/types.h"
#include "engine/session/turn.h"

namespace tandem {

// The epoch of who makes a session.
inline constexpr int64_t kFirstDriverEpoch = 1;
// Entries of one ListSessions.
inline constexpr int64_t kListedSessionsMax = 1000;

struct StoreLimits {
  // How long a call waits for a database that is away.
  absl::Duration patience = absl::Seconds(5);
  // How long tokens wait for a write that needs a commit at once, to be
  // committed together with it.
  absl::Duration write_behind = absl::Milliseconds(200);
};

// A session but for its turns; does not change.
struct SessionRecord {
  std::string tenant = {};
  std::string model_id = {};
  std::string vocabulary_fingerprint = {};
  // Made by a Generate; a conversation from its second turn on.
  bool is_one_shot = false;
};

// A turn, and who writes.
struct TurnKey {
  std::string session_id = {};  // 32 hexadecimal digits
  int64_t epoch = 0;            // the caller's, of the session
  int64_t turn = 0;             // its number in the session, from 1
};

// What a turn's text follows from, beside the tokens of the turns before.
struct TurnRecord {
  std::string fingerprint = {};
  std::vector<TokenId> prompt = {};  // after the session's tokens so far
  // The caller's own bytes: options with the seed, times, the template's day.
  std::string setup = {};

  friend bool operator==(const TurnRecord&, const TurnRecord&) = default;
};

// Tokens that a turn has committed, from `first_token` (an index in the turn)
// on. The first ones of a turn begin with 0; later ones begin where those end
// whose `done` had OK, and may repeat what was never answered so.
struct TurnTokens {
  TurnKey key = {};
  int64_t first_token = 0;
  std::vector<TokenId> tokens = {};
  int64_t elapsed_ms = 0;  // of the turn's time, over all its drivers
};

// The end of a turn: its generated tokens end with `last`, which may be empty.
struct TurnEnd {
  TurnTokens last = {};
  FinishReason reason = FinishReason::kStopToken;
  // The caller's own bytes: usage, and what else the client hears of the end.
  std::string figures = {};
};

struct TurnBegin {
  TurnKey key = {};
  // Of a session that is made with this turn; its epoch is kFirstDriverEpoch.
  std::optional<SessionRecord> session = std::nullopt;
  TurnRecord turn = {};
  // The turn before, if the store does not know its end yet.
  std::optional<TurnEnd> previous = std::nullopt;
};

struct StoredTurn {
  int64_t number = 0;
  int64_t begun_epoch = 0;
  TurnRecord record = {};
  std::vector<TokenId> generated = {};
  int64_t elapsed_ms = 0;
  // Absent while it is under way or waits to be resumed.
  std::optional<FinishReason> end_reason = std::nullopt;
  std::string figures = {};
};

struct StoredSession {
  std::string id = {};
  SessionRecord record = {};
  int64_t driver_epoch = 0;
  absl::Time created_at = absl::UnixEpoch();
  absl::Time used_at = absl::UnixEpoch();  // to the minute
  // All of them, in order. The session's history is prompt and generated tokens
  // of each.
  std::vector<StoredTurn> turns = {};
};

struct SessionSummary {
  std::string id = {};
  SessionRecord record = {};
  absl::Time created_at = absl::UnixEpoch();
  absl::Time used_at = absl::UnixEpoch();
  int64_t turns = 0;
  bool is_over = false;     // its last turn has ended
  bool is_damaged = false;  // nothing above is sure
};

// Which sessions of the store: all, or those of one tenant.
struct SessionsOf {
  std::optional<std::string> tenant = std::nullopt;
};

struct HeldSession {
  std::string session_id = {};
  int64_t epoch = 0;
};

// What goes: sessions that were not used for longer than this, and those that
// were not used for longest where there are more than `sessions_max`.
struct Retention {
  absl::Duration idle = absl::Hours(1);
  absl::Duration one_shot_idle = absl::Minutes(5);
  int64_t sessions_max = 0;  // 0: any number
};

class StateStore {
 public:
  using Committed = absl::AnyInvocable<void(absl::Status)>;
  template <typename Value>
  using Answer = absl::AnyInvocable<void(absl::StatusOr<Value>)>;

  virtual ~StateStore() = default;

  // A turn that may get its first token when this is committed; its session
  // too, where it is made with it. Takes the place of another turn of that
  // number that has not ended: its client never heard of that one.
  virtual void BeginTurn(TurnBegin begin, Committed done) = 0;
  // Committed soon, together with others.
  virtual void AddTokens(TurnTokens tokens, Committed done) = 0;
  // Committed at once: the session's next turn follows all of this one's text.
  virtual void EndTurn(TurnEnd end, Committed done) = 0;

  // Raises the epoch: the caller drives the session from then on.
  virtual void TakeOver(std::string session_id, std::string tenant,
                        Answer<StoredSession> done) = 0;
  // Which of these sessions are driven by others or are gone.
  virtual void FindLost(std::vector<HeldSession> held,
                        Answer<std::vector<std::string>> done) = 0;

  // For operators. A session, whoever drives it.
  virtual void Load(std::string session_id, Answer<StoredSession> done) = 0;
  // Sessions by their ids, from behind `after` on, at most kListedSessionsMax.
  virtual void List(SessionsOf which, std::string after,
                    Answer<std::vector<SessionSummary>> done) = 0;
  virtual void Delete(SessionsOf which, std::string session_id,
                      Committed done) = 0;
  // Deletes by age and number; the count of sessions that went.
  virtual void Prune(Retention retention, Answer<int64_t> done) = 0;
};

// Whether it can be a session's id at all: 32 lower-case hexadecimal digits.
bool IsSessionId(absl::string_view text);

// What a list says of a session that is not damaged.
SessionSummary SummaryOf(const StoredSession& session);

// The statuses of calls that name a session, as all stores word them.
absl::Status NotStored();                     // NOT_FOUND
absl::Status DrivenByAnother(int64_t epoch);  // ABORTED
absl::Status TurnNotStored(int64_t turn);     // FAILED_PRECONDITION
absl::Status StoredTurnIsOver(int64_t turn);  // FAILED_PRECONDITION

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_STORE_STATE_STORE_H_
