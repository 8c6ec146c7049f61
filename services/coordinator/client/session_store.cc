#include "services/coordinator/client/session_store.h"

#include <sys/random.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "services/coordinator/client/turn_quotas.h"

namespace tandem {
namespace {

constexpr size_t kSessionIdBytes = 16;

// The turn does not go with the state of its session.
absl::Status WrongSession(const char* field, const std::string& what) {
  return MakeError(absl::StatusCode::kFailedPrecondition,
                   {.reason = kReasonWrongState,
                    .violations = {{.field = field, .description = what}}},
                   what);
}

}  // namespace

absl::Status UnknownSession() {
  return MakeError(absl::StatusCode::kNotFound,
                   {.reason = kReasonUnknownSession},
                   "no such session; it may have expired: start a new one");
}

std::string DrawSessionId() {
  std::string bytes(kSessionIdBytes, '\0');
  // At most 256 bytes are never cut short once the pool is up.
  const ssize_t drawn = getrandom(bytes.data(), bytes.size(), 0);
  TANDEM_CHECK(drawn == static_cast<ssize_t>(bytes.size()));
  return absl::BytesToHexString(bytes);
}

SessionStore::~SessionStore() {
  for (const auto& [name, tenant] : by_tenant_) {
    budget_->Add(MemoryKind::kSessions, name, -tenant.bytes);
  }
}

absl::StatusOr<Session*> SessionStore::Create(const std::string& tenant,
                                              SessionUse use) {
  return Add(DrawSessionId(), tenant, use);
}

absl::StatusOr<Session*> SessionStore::Add(std::string session_id,
                                           const std::string& tenant,
                                           SessionUse use) {
  const int64_t own_max = tenants_->LimitsOf(tenant).sessions_max;
  while (own_max > 0 && SessionsOf(tenant) >= own_max) {
    const std::set<IdlePlace>& idle = by_tenant_.find(tenant)->second.idle;
    if (idle.empty()) {
      return OverQuota(tenant, absl::StrCat(own_max, " sessions"),
                       std::nullopt);
    }
    Forget(idle.begin()->session);
  }
  if (size() >= limits_.sessions_max &&
      !RemoveFor(tenant, &Tenant::sessions, SessionsOf(tenant))) {
    return Exhausted(absl::StrCat("the server keeps ", limits_.sessions_max,
                                  " sessions at most; try later"));
  }
  auto session = std::make_unique<Session>(std::move(session_id), tenant, use,
                                           loop_->Now());
  const int64_t bytes = session->bytes();
  MakeRoom(tenant, bytes);
  if (!budget_->Take(MemoryKind::kSessions, tenant, bytes)) {
    return Exhausted("the server has no memory for another session; try later");
  }
  Session* const made = session.get();
  Tenant& count = by_tenant_[tenant];
  ++count.sessions;
  count.bytes += bytes;
  count.idle.insert(PlaceOf(made));
  Entry& entry = sessions_[made->id()];
  entry.session = std::move(session);
  entry.bytes = bytes;
  size_.store(static_cast<int64_t>(sessions_.size()));
  if (expiry_timer_.sequence == 0) SetExpiryTimer();
  return made;
}

int64_t SessionStore::SessionsOf(const std::string& tenant) const {
  const auto found = by_tenant_.find(tenant);
  return found == by_tenant_.end() ? 0 : found->second.sessions;
}

absl::StatusOr<Session*> SessionStore::Find(const std::string& session_id,
                                            const std::string& tenant) {
  const auto found = sessions_.find(session_id);
  if (found == sessions_.end() || found->second.session->tenant() != tenant) {
    return UnknownSession();
  }
  return found->second.session.get();
}

absl::StatusOr<Session*> SessionStore::FindFor(const SessionQuery& query) {
  if (query.session_id.empty()) return nullptr;
  TANDEM_ASSIGN_OR_RETURN(Session* const session,
                          Find(query.session_id, query.tenant));
  if (session->holder() != nullptr && session->holder()->has_client()) {
    return WrongSession("session_id",
                        "another stream has a turn of this session under way");
  }
  const std::string model_id = session->model().id;
  if (!model_id.empty() && !query.model_id.empty() &&
      query.model_id != model_id) {
    return WrongSession(
        "model_id", absl::StrCat("the session's model is ", model_id, ", not ",
                                 query.model_id));
  }
  return session;
}

Session* SessionStore::FindAny(const std::string& session_id) const {
  const auto found = sessions_.find(session_id);
  return found == sessions_.end() ? nullptr : found->second.session.get();
}

void SessionStore::Remove(Session* session) {
  const auto found = sessions_.find(session->id());
  const auto tenant = by_tenant_.find(session->tenant());
  budget_->Add(MemoryKind::kSessions, tenant->first, -found->second.bytes);
  tenant->second.bytes -= found->second.bytes;
  tenant->second.idle.erase(PlaceOf(session));
  if (--tenant->second.sessions == 0) by_tenant_.erase(tenant);
  held_.erase(session->id());
  sessions_.erase(found);
  size_.store(static_cast<int64_t>(sessions_.size()));
}

void SessionStore::Hold(Session* session, SessionHolder* holder) {
  by_tenant_.find(session->tenant())->second.idle.erase(PlaceOf(session));
  session->Hold(holder);
  held_[session->id()] = session;
}

void SessionStore::LetGo(Session* session) {
  std::set<IdlePlace>& idle = by_tenant_.find(session->tenant())->second.idle;
  idle.erase(PlaceOf(session));  // of one that was set aside
  session->LetGo(loop_->Now());
  held_.erase(session->id());
  idle.insert(PlaceOf(session));
  Measure(session);
}

void SessionStore::SetAside(Session* session) {
  std::set<IdlePlace>& idle = by_tenant_.find(session->tenant())->second.idle;
  if (idle.count(PlaceOf(session)) > 0) return;
  session->SetAside(loop_->Now());
  idle.insert(PlaceOf(session));
  Measure(session);
}

void SessionStore::Drop(Session* session, const absl::Status& why) {
  const std::string id = session->id();
  if (session->holder() != nullptr) session->holder()->OnLost(why);
  // Its holder may have removed it.
  const auto found = sessions_.find(id);
  if (found != sessions_.end()) Remove(found->second.session.get());
}

std::vector<Session*> SessionStore::Held() const {
  std::vector<Session*> held;
  held.reserve(held_.size());
  for (const auto& [id, session] : held_) held.push_back(session);
  return held;
}

void SessionStore::Forget(Session* session) {
  Drop(session,
       MakeError(absl::StatusCode::kNotFound, {.reason = kReasonUnknownSession},
                 "the session was forgotten, since its stream was "
                 "not read; start a new one"));
}

void SessionStore::ShrinkToBudget() {
  while (budget_->IsOver() && RemoveFor("", &Tenant::bytes, /*own=*/0)) {
  }
}

void SessionStore::Measure(Session* session) {
  Entry& entry = sessions_.find(session->id())->second;
  const int64_t more = session->bytes() - entry.bytes;
  entry.bytes += more;
  by_tenant_.find(session->tenant())->second.bytes += more;
  budget_->Add(MemoryKind::kSessions, session->tenant(), more);
  // Not at once: the caller may hold pointers to sessions.
  if (budget_->IsOver()) loop_->Post([this] { ShrinkToBudget(); });
}

void SessionStore::MakeRoom(const std::string& tenant, int64_t bytes) {
  while (!budget_->HasRoom(tenant, bytes) &&
         RemoveFor(tenant, &Tenant::bytes, budget_->UsedBy(tenant) + bytes)) {
  }
}

// Walks over all tenants with a session: 10,000 of them take about 0.1 ms, and
// where there are so many they have one session each.
bool SessionStore::RemoveFor(const std::string& tenant, int64_t Tenant::*held,
                             int64_t own) {
  const auto found = by_tenant_.find(tenant);
  Tenant* from = found == by_tenant_.end() || found->second.idle.empty()
                     ? nullptr
                     : &found->second;
  int64_t most = own;
  for (auto& [name, other] : by_tenant_) {
    if (other.*held <= most || other.idle.empty()) continue;
    most = other.*held;
    from = &other;
  }
  if (from == nullptr) return false;
  Forget(from->idle.begin()->session);
  return true;
}

void SessionStore::SetExpiryTimer() {
  // A session goes at most a quarter of the time late.
  const MonotonicDuration period = std::max<MonotonicDuration>(
      std::min(limits_.idle, limits_.one_shot_idle) / 4,
      std::chrono::seconds(1));
  expiry_timer_ = loop_->SetTimer(loop_->Now() + period, [this] { Expire(); });
}

void SessionStore::Expire() {
  std::vector<Session*> expired;
  for (const auto& [name, tenant] : by_tenant_) {
    for (const IdlePlace& place : tenant.idle) {
      const MonotonicDuration kept =
          place.use == SessionUse::kOneShot
              ? std::min(limits_.idle, limits_.one_shot_idle)
              : limits_.idle;
      if (loop_->Now() - place.since >= kept) expired.push_back(place.session);
    }
  }
  for (Session* session : expired) Forget(session);
  expiry_timer_ = EventLoop::TimerId();
  if (!sessions_.empty()) SetExpiryTimer();
}

}  // namespace tandem
