#include "services/coordinator/client/session_store.h"

#include <sys/random.h>

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/check.h"

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

absl::StatusOr<Session*> SessionStore::Create(const std::string& tenant) {
  if (size() >= limits_.sessions_max) {
    return Exhausted(absl::StrCat("the server keeps ", limits_.sessions_max,
                                  " sessions at most; try later"));
  }
  const std::string id = DrawSessionId();
  std::unique_ptr<Session>& slot = sessions_[id];
  slot = std::make_unique<Session>(id, tenant, loop_->Now());
  size_.store(static_cast<int64_t>(sessions_.size()));
  if (expiry_timer_.sequence == 0) SetExpiryTimer();
  return slot.get();
}

absl::StatusOr<Session*> SessionStore::Find(const std::string& session_id,
                                            const std::string& tenant) {
  const auto found = sessions_.find(session_id);
  if (found == sessions_.end() || found->second->tenant() != tenant) {
    return MakeError(absl::StatusCode::kNotFound,
                     {.reason = kReasonUnknownSession},
                     "no such session; it may have expired: start a new one");
  }
  return found->second.get();
}

void SessionStore::Remove(const Session* session) {
  sessions_.erase(std::string(session->id()));
  size_.store(static_cast<int64_t>(sessions_.size()));
}

void SessionStore::SetExpiryTimer() {
  // A session goes at most a quarter of the time late.
  const MonotonicDuration period =
      std::max<MonotonicDuration>(limits_.idle / 4, std::chrono::seconds(1));
  expiry_timer_ = loop_->SetTimer(loop_->Now() + period, [this] { Expire(); });
}

void SessionStore::Expire() {
  std::erase_if(sessions_, [this](const auto& entry) {
    const Session& session = *entry.second;
    return session.holder() == nullptr &&
           loop_->Now() - session.idle_since() >= limits_.idle;
  });
  size_.store(static_cast<int64_t>(sessions_.size()));
  expiry_timer_ = EventLoop::TimerId();
  if (!sessions_.empty()) SetExpiryTimer();
}

}  // namespace tandem
