// The sessions of this process. Owned by the server; the event loop's, but for
// size().
//
// At the bound of sessions, or of memory, an idle session goes for a new one:
// of the tenant that has most, if that is more than the asking tenant has, else
// of the asking tenant itself. One-shots go before conversations, and of each
// the one that was idle for longest. A session with a turn under way stays,
// unless its client does not read (SetAside): such turns hold no place, so
// nothing else bounds them.

#ifndef TANDEM_SERVICES_COORDINATOR_CLIENT_SESSION_STORE_H_
#define TANDEM_SERVICES_COORDINATOR_CLIENT_SESSION_STORE_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "engine/base/status.h"
#include "services/coordinator/client/memory_budget.h"
#include "services/coordinator/client/session.h"
#include "services/coordinator/client/tenant_limits.h"
#include "services/coordinator/turn/event_loop.h"

namespace tandem {

struct SessionLimits {
  int64_t sessions_max = 10000;
  // A session is kept this long after its last turn or its lost connection.
  MonotonicDuration idle = std::chrono::hours(1);
  // The same of a one-shot: enough to resume after a lost connection, or to
  // type a second message.
  MonotonicDuration one_shot_idle = std::chrono::minutes(5);
};

// 128 bits from the operating system, in 32 hexadecimal digits.
std::string DrawSessionId();

// For the client: NOT_FOUND with UNKNOWN_SESSION.
absl::Status UnknownSession();
// What a prompt says of where it belongs.
struct SessionQuery {
  std::string tenant;
  std::string session_id;  // empty: a new session
  std::string model_id;    // empty: the session's, or the only one
};

class SessionStore {
 public:
  // All outlive the store.
  SessionStore(EventLoop* loop, const SessionLimits& limits,
               const TenantLimitsSource* tenants, MemoryBudget* budget)
      : loop_(loop), limits_(limits), tenants_(tenants), budget_(budget) {}
  ~SessionStore();

  SessionStore(const SessionStore&) = delete;
  SessionStore& operator=(const SessionStore&) = delete;

  // Sessions now; any thread.
  int64_t size() const { return size_.load(); }
  const SessionLimits& limits() const { return limits_; }

  // A new session. RESOURCE_EXHAUSTED with EXHAUSTED where no other can go for
  // it: at sessions_max, at the tenant's own, or for memory.
  absl::StatusOr<Session*> Create(const std::string& tenant, SessionUse use);
  // The same for a session that has its id already.
  absl::StatusOr<Session*> Add(std::string session_id,
                               const std::string& tenant, SessionUse use);
  // NOT_FOUND with UNKNOWN_SESSION for a session that is not there and for
  // another tenant's alike.
  absl::StatusOr<Session*> Find(const std::string& session_id,
                                const std::string& tenant);
  // The session that a prompt continues: null for a new one. Errors: also
  // FAILED_PRECONDITION where another stream has a turn of it under way, or it
  // has another model.
  absl::StatusOr<Session*> FindFor(const SessionQuery& query);
  // The session of this id, whoever's it is; null where there is none.
  Session* FindAny(const std::string& session_id) const;
  void Remove(Session* session);

  // A turn of the session is under way for `holder` from Hold to LetGo.
  void Hold(Session* session, SessionHolder* holder);
  void LetGo(Session* session);
  // The session, which has had a turn, may go as an idle one, until Hold or
  // LetGo. Nothing where that is so already.
  void SetAside(Session* session);
  // Counts what the session holds now, as LetGo and SetAside do. Soon after it
  // idle sessions go where memory is over its bound.
  void Measure(Session* session);
  // The session goes, whatever it does; its holder's client hears `why`.
  void Drop(Session* session, const absl::Status& why);
  // Those with a turn under way.
  std::vector<Session*> Held() const;
  // Idle sessions go until `tenant` may have `bytes`, if they are enough.
  void MakeRoom(const std::string& tenant, int64_t bytes);

 private:
  // The order in which the idle sessions of a tenant go.
  struct IdlePlace {
    SessionUse use;
    MonotonicTime since;
    Session* session;

    friend bool operator<(const IdlePlace& a, const IdlePlace& b) {
      return std::tie(a.use, a.since, a.session) <
             std::tie(b.use, b.since, b.session);
    }
  };
  struct Tenant {
    int64_t sessions = 0;
    int64_t bytes = 0;
    std::set<IdlePlace> idle;
  };
  struct Entry {
    std::unique_ptr<Session> session;
    int64_t bytes = 0;  // as last counted
  };

  int64_t SessionsOf(const std::string& tenant) const;
  // Removes a session that is idle or set aside.
  void Forget(Session* session);
  // Removes an idle session: of the tenant that has most of `held`, if that is
  // more than `own`, else of `tenant`; false where there is none.
  bool RemoveFor(const std::string& tenant, int64_t Tenant::*held, int64_t own);
  void ShrinkToBudget();
  void SetExpiryTimer();
  // Removes what has been idle too long; again while there are sessions.
  void Expire();

  static IdlePlace PlaceOf(Session* session) {
    return {session->use(), session->idle_since(), session};
  }

  EventLoop* const loop_;
  const SessionLimits limits_;
  const TenantLimitsSource* const tenants_;
  MemoryBudget* const budget_;
  std::unordered_map<std::string, Entry> sessions_;
  std::map<std::string, Session*> held_;  // by id; those with a holder
  // Those with a session.
  std::map<std::string, Tenant> by_tenant_;
  std::atomic<int64_t> size_{0};  // of sessions_
  EventLoop::TimerId expiry_timer_;
};

}  // namespace tandem

#endif  // TANDEM_SERVICES_COORDINATOR_CLIENT_SESSION_STORE_H_
