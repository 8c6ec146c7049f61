// Brings sessions from the store into this process, which then drives them.
// Owned by the server; everything belongs to the event loop.

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_SESSION_LOADER_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_SESSION_LOADER_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "services/coordinator/client/background_queue.h"
#include "services/coordinator/client/session.h"
#include "services/coordinator/client/session_store.h"
#include "services/coordinator/client/turn_quotas.h"
#include "services/coordinator/routing/router.h"
#include "services/coordinator/store/state_store.h"
#include "services/coordinator/turn/event_loop.h"
#include "services/coordinator/turn/turn_observer.h"
#include "tandem/v1/turn_record.pb.h"

namespace tandem {

// For the client: UNAVAILABLE with STORE_UNAVAILABLE and when to try again.
absl::Status StoreIsAway();
// For the client of a turn that another coordinator has now: ABORTED.
absl::Status ResumedElsewhere();
// The workers have model `model_id` with another vocabulary than the session's:
// FAILED_PRECONDITION with VOCABULARY_MISMATCH.
absl::Status OtherVocabulary(const std::string& model_id);
// An answer of the store in the client's words: who has the session now
// (ABORTED), that it is gone (NOT_FOUND), that the store is away; DATA_LOSS as
// it is.
absl::Status InClientsWords(const absl::Status& status);

// What the client wants of a session.
// A session and the model of its next turn.
struct SessionPlace {
  Session* session = nullptr;  // null: a new one
  ModelSummary model;
};
// Errors: those of SessionStore::FindFor and Router::FindModel, and
// OtherVocabulary.
absl::StatusOr<SessionPlace> FindPlace(const SessionQuery& query,
                                       SessionStore* sessions,
                                       const Router& router);

enum class LoadFor { kNextTurn, kResume };

class SessionLoader {
 public:
  // All outlive the loader; `store`, `quarantine` and `observer` may be null.
  struct Parts {
    StateStore* store = nullptr;  // null: sessions are here or nowhere
    // Other coordinators use the store too: one of them may have taken over a
    // session that is here.
    bool is_shared = false;
    SessionStore* sessions = nullptr;
    Router* router = nullptr;
    TurnQuotas* quotas = nullptr;
    EventLoop* loop = nullptr;
    BackgroundQueue* background = nullptr;
    TurnLimits turn_limits = {};
    PromptQuarantine* quarantine = nullptr;
    TurnObserver* observer = nullptr;
  };
  using Done = std::function<void(const absl::Status&)>;

  explicit SessionLoader(Parts parts) : parts_(std::move(parts)) {}

  SessionLoader(const SessionLoader&) = delete;
  SessionLoader& operator=(const SessionLoader&) = delete;

  // May be null.
  StateStore* store() const { return parts_.store; }
  // Whether Load has to come first: there is a store, and the tenant's session
  // is not in this process, may have gone on in another one, or is here without
  // the turn that its client resumes, or without all of the one before the
  // next.
  bool IsNeeded(const std::string& session_id, const std::string& tenant,
                LoadFor purpose) const;
  // `done` is called once, on the loop, later. OK: the session is in this
  // process, as the store has it. Or NOT_FOUND with UNKNOWN_SESSION,
  // UNAVAILABLE where store or model are away, DATA_LOSS, or what
  // SessionStore::Add says.
  void Load(const std::string& session_id, const std::string& tenant,
            LoadFor purpose, Done done);

 private:
  // Tenant and id of a session.
  using Key = std::pair<std::string, std::string>;

  // The session in this process, whoever drives it; null: none.
  Session* Here(const Key& key) const;
  // Asks whether the session that is here is still this process' to drive.
  void Check(const Key& key, LoadFor purpose, int64_t epoch);
  void TakeOver(const Key& key, LoadFor purpose);
  void OnTakenOver(const Key& key, LoadFor purpose,
                   absl::StatusOr<StoredSession> stored);
  // Calls all who wait for the session.
  void Answer(const Key& key, LoadFor purpose, const absl::Status& status);
  // What the last turn is restored with, and for whom.
  struct LastTurn {
    LoadFor purpose = LoadFor::kResume;
    bool leaves_out = false;  // another one behind it, which nobody heard of
    ModelSummary model = {};
    v1::TurnSetupRecord setup = {};
    GenOptions options = {};
    std::shared_ptr<const TokenMasks> grammar = {};
  };
  absl::StatusOr<LastTurn> ReadLastTurn(const StoredSession& stored) const;
  // Compiles the last turn's grammar on a helper thread, if it goes on with
  // one; then restores the session and answers.
  void Prepare(const Key& key, LoadFor purpose, StoredSession stored);
  absl::Status Restore(StoredSession stored, const LastTurn& last);
  absl::StatusOr<std::unique_ptr<SessionTurn>> RestoreTurn(
      const StoredSession& stored, const LastTurn& last_turn);

  const Parts parts_;
  // Who waits for the sessions that are being loaded: a resume needs a turn
  // that is left out for the next one.
  std::map<std::pair<Key, LoadFor>, std::vector<Done>> waiting_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_SESSION_LOADER_H_
