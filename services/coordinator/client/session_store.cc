#include "services/coordinator/client/session_store.h"

#include <sys/random.h>

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/check.h"
#include "engine/base/error_reason.h"

namespace tandem {
namespace {

constexpr size_t kSessionIdBytes = 16;

}  // namespace

std::string DrawSessionId() {
  std::string bytes(kSessionIdBytes, '\0');
  // At most 256 bytes are never cut short once the pool is up.
  const ssize_t drawn = getrandom(bytes.data(), bytes.size(), 0);
  TANDEM_CHECK(drawn == static_cast<ssize_t>(bytes.size()));
  return absl::BytesToHexString(bytes);
}

SessionStore::SessionStore(std::vector<EventLoop*> loops,
                           const SessionLimits& limits)
    : limits_(limits) {
  TANDEM_CHECK(!loops.empty());
  for (EventLoop* loop : loops) {
    shards_.emplace_back();
    shards_.back().loop = loop;
  }
}

size_t SessionStore::ShardIndex(absl::string_view session_id) const {
  const std::string_view id(session_id.data(), session_id.size());
  return std::hash<std::string_view>()(id) % shards_.size();
}

EventLoop* SessionStore::LoopOf(absl::string_view session_id) const {
  return shards_[ShardIndex(session_id)].loop;
}

absl::StatusOr<Session*> SessionStore::Create(EventLoop* loop,
                                              const std::string& tenant) {
  if (sessions_.fetch_add(1) >= limits_.sessions_max) {
    sessions_.fetch_sub(1);
    return Exhausted(absl::StrCat("the server keeps ", limits_.sessions_max,
                                  " sessions at most; try later"));
  }
  std::string id;
  // One draw in shards_.size() fits.
  do {
    id = DrawSessionId();
  } while (LoopOf(id) != loop);
  Shard& shard = shards_[ShardIndex(id)];
  std::unique_ptr<Session>& slot = shard.sessions[id];
  slot = std::make_unique<Session>(id, tenant, loop->Now());
  if (shard.expiry_timer.sequence == 0) SetExpiryTimer(&shard);
  return slot.get();
}

absl::StatusOr<Session*> SessionStore::Find(const std::string& session_id,
                                            const std::string& tenant) {
  Shard& shard = shards_[ShardIndex(session_id)];
  const auto found = shard.sessions.find(session_id);
  if (found == shard.sessions.end() || found->second->tenant() != tenant) {
    return MakeError(absl::StatusCode::kNotFound,
                     {.reason = kReasonUnknownSession},
                     "no such session; it may have expired: start a new one");
  }
  return found->second.get();
}

void SessionStore::Remove(Session* session) {
  Shard& shard = shards_[ShardIndex(session->id())];
  if (shard.sessions.erase(std::string(session->id())) > 0) {
    sessions_.fetch_sub(1);
  }
}

void SessionStore::SetExpiryTimer(Shard* shard) {
  // A session goes at most a quarter of the time late.
  const MonotonicDuration period =
      std::max<MonotonicDuration>(limits_.idle / 4, std::chrono::seconds(1));
  shard->expiry_timer = shard->loop->SetTimer(shard->loop->Now() + period,
                                              [this, shard] { Expire(shard); });
}

void SessionStore::Expire(Shard* shard) {
  const MonotonicTime now = shard->loop->Now();
  for (auto it = shard->sessions.begin(); it != shard->sessions.end();) {
    const Session& session = *it->second;
    if (session.holder() == nullptr &&
        now - session.idle_since() >= limits_.idle) {
      it = shard->sessions.erase(it);
      sessions_.fetch_sub(1);
    } else {
      ++it;
    }
  }
  shard->expiry_timer = EventLoop::TimerId();
  if (!shard->sessions.empty()) SetExpiryTimer(shard);
}

}  // namespace tandem
